//! Error codes of the API: maps each code to a class. Upstream adds codes without notice, so that an
//! undocumented code has the class of its prefix, the part before the dot. It does not know gRPC.

pub use crate::error_policy::{Class, Field};
use Class::*;

/// Returns the class of an error code, documented or not.
pub fn classify(code: &str) -> Class {
    let class = code.split_once('.').map_or(code, |(class, _)| class);
    documented(code)
        .or_else(|| documented(class))
        .unwrap_or(match class {
            "AuthFailure" => Credentials,
            "ResourcesSoldOut" => Account,
            _ => Unknown,
        })
}

/// Returns the class of a documented code.
pub fn documented(code: &str) -> Option<Class> {
    let row = DOCUMENTED
        .binary_search_by_key(&code, |(code, _)| code)
        .ok()?;
    Some(DOCUMENTED[row].1)
}

/// Returns the documented codes, in ASCII order.
pub fn documented_codes() -> impl Iterator<Item = &'static str> {
    DOCUMENTED.iter().map(|(code, _)| *code)
}

/// The codes of the [common list], of the documentation of the actions, and of the vendor's SDKs.
///
/// [common list]: https://www.tencentcloud.com/document/product/1059/36988
#[rustfmt::skip]
const DOCUMENTED: &[(&str, Class)] = &[
    ("ActionOffline", Withdrawn),
    ("AuthFailure.InvalidAuthorization", Credentials),
    ("AuthFailure.InvalidSecretId", StaleCredential),
    ("AuthFailure.MFAFailure", Credentials),
    ("AuthFailure.SecretIdNotFound", StaleCredential),
    ("AuthFailure.SignatureExpire", Clock),
    ("AuthFailure.SignatureFailure", StaleCredential),
    ("AuthFailure.TokenFailure", StaleCredential),
    ("AuthFailure.UnauthorizedOperation", Policy),
    ("DryRunOperation", FacadeFault),
    ("FailedOperation", Unknown),
    ("FailedOperation.AcrossVersionsError", State),
    ("FailedOperation.CompareFail", Unknown),
    ("FailedOperation.ConflictOperation", Conflict),
    ("FailedOperation.CreateFaceConcurrent", Conflict),
    ("FailedOperation.DuplicatedGroupDescription", AlreadyExists),
    ("FailedOperation.FaceQualityNotQualified", BadRequest),
    ("FailedOperation.FaceSizeTooSmall", BadRequest),
    ("FailedOperation.GroupCannotUpgrade", State),
    ("FailedOperation.GroupInDeletedState", State),
    ("FailedOperation.GroupLostFaces", State),
    ("FailedOperation.GroupPersonMapExist", AlreadyExists),
    ("FailedOperation.GroupPersonMapNotExist", NotFound(None)),
    ("FailedOperation.ImageDecodeFailed", BadRequest),
    ("FailedOperation.ImageDownloadError", BadRequest),
    ("FailedOperation.ImageFacedetectFailed", BadRequest),
    ("FailedOperation.ImageResolutionExceed", BadRequest),
    ("FailedOperation.ImageResolutionTooSmall", BadRequest),
    ("FailedOperation.ImageSizeExceed", BadRequest),
    ("FailedOperation.JobCannnotRollback", State),
    ("FailedOperation.LifePhotoDetectFaces", BadRequest),
    ("FailedOperation.LifePhotoDetectFake", BadRequest),
    ("FailedOperation.LifePhotoDetectNoFaces", BadRequest),
    ("FailedOperation.LifePhotoSizeError", BadRequest),
    ("FailedOperation.RequestLimitExceeded", Throttled),
    ("FailedOperation.RequestTimeout", Transient),
    ("FailedOperation.RpcFail", Transient),
    ("FailedOperation.SearchFacesExceed", BadRequest),
    ("FailedOperation.ServerError", Transient),
    ("FailedOperation.UnKnowError", Unknown),
    ("FailedOperation.UpgradeJobIdNotExist", NotFound(None)),
    ("InternalError", UpstreamFault),
    ("InvalidAction", FacadeFault),
    ("InvalidParameter", BadRequest),
    ("InvalidParameter.InvalidParameter", BadRequest),
    ("InvalidParameterValue", BadRequest),
    ("InvalidParameterValue.AccountFaceNumExceed", Quota),
    ("InvalidParameterValue.DeleteFaceNumExceed", State),
    ("InvalidParameterValue.FaceMatchThresholdIllegal", BadRequest),
    ("InvalidParameterValue.FaceModelVersionIllegal", BadRequest),
    ("InvalidParameterValue.GroupExDescriptionsExceed", BadRequest),
    ("InvalidParameterValue.GroupExDescriptionsNameIdentical", BadRequest),
    ("InvalidParameterValue.GroupExDescriptionsNameIllegal", BadRequest),
    ("InvalidParameterValue.GroupExDescriptionsNameTooLong", BadRequest),
    ("InvalidParameterValue.GroupFaceNumExceed", Quota),
    ("InvalidParameterValue.GroupIdAlreadyExist", AlreadyExists),
    ("InvalidParameterValue.GroupIdIllegal", BadField(Field::GroupId)),
    ("InvalidParameterValue.GroupIdNotExist", NotFound(Some(Field::GroupId))),
    ("InvalidParameterValue.GroupIdNotExists", NotFound(Some(Field::GroupId))),
    ("InvalidParameterValue.GroupIdTooLong", BadField(Field::GroupId)),
    ("InvalidParameterValue.GroupIdsExceed", BadRequest),
    ("InvalidParameterValue.GroupNameAlreadyExist", AlreadyExists),
    ("InvalidParameterValue.GroupNameIllegal", BadRequest),
    ("InvalidParameterValue.GroupNameTooLong", BadRequest),
    ("InvalidParameterValue.GroupNumExceed", Quota),
    ("InvalidParameterValue.GroupNumPerPersonExceed", Quota),
    ("InvalidParameterValue.GroupTagIllegal", BadRequest),
    ("InvalidParameterValue.GroupTagTooLong", BadRequest),
    ("InvalidParameterValue.ImageEmpty", BadRequest),
    ("InvalidParameterValue.ImageEmptyError", BadRequest),
    ("InvalidParameterValue.LimitExceed", BadField(Field::Limit)),
    ("InvalidParameterValue.NoFaceInGroups", State),
    ("InvalidParameterValue.NoFaceInPhoto", BadRequest),
    ("InvalidParameterValue.OffsetExceed", OutOfRange(Field::Offset)),
    ("InvalidParameterValue.PersonExDescriptionInfosExceed", BadRequest),
    ("InvalidParameterValue.PersonExDescriptionsNameIdentical", BadRequest),
    ("InvalidParameterValue.PersonExDescriptionsNameIllegal", BadRequest),
    ("InvalidParameterValue.PersonExDescriptionsNameTooLong", BadRequest),
    ("InvalidParameterValue.PersonExistInGroup", AlreadyExists),
    ("InvalidParameterValue.PersonFaceNumExceed", Quota),
    ("InvalidParameterValue.PersonGenderIllegal", BadRequest),
    ("InvalidParameterValue.PersonIdAlreadyExist", AlreadyExists),
    ("InvalidParameterValue.PersonIdIllegal", BadField(Field::PersonId)),
    ("InvalidParameterValue.PersonIdNotExist", NotFound(Some(Field::PersonId))),
    ("InvalidParameterValue.PersonIdTooLong", BadField(Field::PersonId)),
    ("InvalidParameterValue.PersonNameIllegal", BadRequest),
    ("InvalidParameterValue.PersonNameTooLong", BadRequest),
    ("InvalidParameterValue.QualityControlIllegal", BadRequest),
    ("InvalidParameterValue.SearchPersonsExceed", BadRequest),
    ("InvalidParameterValue.UniquePersonControlIllegal", BadRequest),
    ("InvalidParameterValue.UnsupportedGroupFaceModelVersion", State),
    ("InvalidParameterValue.UploadFaceNumExceed", BadRequest),
    ("InvalidParameterValue.UrlIllegal", BadRequest),
    ("InvalidRequest", FacadeFault),
    ("IpInBlacklist", FacadeFault),
    ("IpNotInWhitelist", FacadeFault),
    ("LimitExceeded", Quota),
    ("LimitExceeded.ErrorFaceNumExceed", Quota),
    ("MissingParameter", BadField(Field::RequiredId)),
    ("MissingParameter.ErrorParameterEmpty", BadField(Field::RequiredId)),
    ("NoSuchProduct", FacadeFault),
    ("NoSuchVersion", FacadeFault),
    ("RequestLimitExceeded", Throttled),
    ("RequestLimitExceeded.GlobalRegionUinLimitExceeded", Throttled),
    ("RequestLimitExceeded.IPLimitExceeded", Throttled),
    ("RequestLimitExceeded.UinLimitExceeded", Throttled),
    ("RequestSizeLimitExceeded", FacadeFault),
    ("ResourceInUse", Conflict),
    ("ResourceInsufficient", Transient),
    ("ResourceNotFound", NotFound(None)),
    ("ResourceUnavailable", Account),
    ("ResourceUnavailable.ChargeStatusException", Account),
    ("ResourceUnavailable.Delivering", Account),
    ("ResourceUnavailable.Freeze", Account),
    ("ResourceUnavailable.GetAuthInfoError", BillingLookup),
    ("ResourceUnavailable.InArrears", Account),
    ("ResourceUnavailable.LowBalance", Account),
    ("ResourceUnavailable.NotExist", Account),
    ("ResourceUnavailable.NotReady", Account),
    ("ResourceUnavailable.Recover", Account),
    ("ResourceUnavailable.StopUsing", Account),
    ("ResourceUnavailable.UnknownStatus", BillingLookup),
    ("ResourcesSoldOut.ChargeStatusException", Account),
    ("ResponseSizeLimitExceeded", ResponseTooLarge),
    ("ServiceUnavailable", Transient),
    ("UnauthorizedOperation", Policy),
    ("UnknownParameter", FacadeFault),
    ("UnsupportedOperation", Withdrawn),
    ("UnsupportedOperation.UnknowMethod", FacadeFault),
    ("UnsupportedProtocol", FacadeFault),
    ("UnsupportedRegion", FacadeFault),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_binary_search() {
        assert!(DOCUMENTED.is_sorted_by(|(one, _), (next, _)| one < next));
    }

    #[test]
    fn an_undocumented_code_has_the_class_of_its_prefix() {
        let cases = [
            ("InvalidParameterValue.New", BadRequest),
            ("RequestLimitExceeded.New", Throttled),
            ("ResourceUnavailable.New", Account),
            ("UnauthorizedOperation.New.Newer", Policy),
            ("AuthFailure.New", Credentials),
            ("ResourcesSoldOut.New", Account),
            ("ResourcesSoldOut", Account),
            ("New", Unknown),
            ("", Unknown),
            (".", Unknown),
        ];

        for (code, class) in cases {
            assert_eq!(classify(code), class, "{code}");
        }
    }
}
