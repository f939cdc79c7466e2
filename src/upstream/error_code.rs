//! What each of upstream's error codes means for a caller.
//!
//! Upstream adds codes without notice, so a code that is not listed means what its class, the part
//! before the dot, means.

use Class::*;

/// What a refusal comes to, whatever its exact words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The state of the account forbids every call: arrears, frozen, service not activated.
    Account,
    /// The thing to be made is there already.
    AlreadyExists,
    /// One field of the request is at fault.
    BadField(Field),
    /// The request is at fault, and the code does not say where.
    BadRequest,
    /// Upstream could not look up the state of the account's billing.
    BillingLookup,
    /// The time of the signature is too far from upstream's.
    Clock,
    /// Another call is at work on the same thing.
    Conflict,
    /// Upstream does not accept the credential or what was signed with it.
    Credentials,
    /// The service made a call that no service should make.
    FacadeFault,
    /// There is no such thing; the field names it where the code says which.
    NotFound(Option<Field>),
    /// A page begins after the end.
    OutOfRange(Field),
    /// The account's access policy does not allow the call.
    Policy,
    /// A quota is used up, and waiting does not help.
    Quota,
    /// The answer is too large; a smaller page may help, where the request has pages.
    ResponseTooLarge,
    /// The thing is in a state that does not allow the call.
    State,
    /// Too many calls in too short a time.
    Throttled,
    /// Upstream failed in a way that passes.
    Transient,
    /// Nobody knows.
    Unknown,
    /// Upstream failed.
    UpstreamFault,
    /// The action is offered no more.
    Withdrawn,
}

/// A field of a request that a code speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// The id of a group.
    GroupId,
    /// The size of a page.
    Limit,
    /// The beginning of a page.
    Offset,
    /// The id of a person.
    PersonId,
    /// The id that the called action requires.
    RequiredId,
}

/// Returns the class of an upstream error code, documented or not.
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

/// Returns the class of a code that has a row of its own.
pub fn documented(code: &str) -> Option<Class> {
    let row = DOCUMENTED
        .binary_search_by_key(&code, |(code, _)| code)
        .ok()?;
    Some(DOCUMENTED[row].1)
}

/// Returns every code that has a row of its own, in ASCII order.
pub fn documented_codes() -> impl Iterator<Item = &'static str> {
    DOCUMENTED.iter().map(|(code, _)| *code)
}

/// The codes of the [common list], of the pages of the two actions, and of the vendor's SDKs.
///
/// [common list]: https://www.tencentcloud.com/document/product/1059/36988
#[rustfmt::skip]
const DOCUMENTED: &[(&str, Class)] = &[
    ("ActionOffline", Withdrawn),
    ("AuthFailure.InvalidAuthorization", Credentials),
    ("AuthFailure.InvalidSecretId", Credentials),
    ("AuthFailure.MFAFailure", Credentials),
    ("AuthFailure.SecretIdNotFound", Credentials),
    ("AuthFailure.SignatureExpire", Clock),
    ("AuthFailure.SignatureFailure", Credentials),
    ("AuthFailure.TokenFailure", Credentials),
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
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(DOCUMENTED.is_sorted_by(|(one, _), (next, _)| one < next));
    }

    #[test]
    fn an_unlisted_code_means_what_its_class_means() {
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
