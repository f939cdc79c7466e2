package iaifacade.emulator.junit;

import com.tencentcloudapi.common.Credential;
import com.tencentcloudapi.common.exception.TencentCloudSDKException;
import com.tencentcloudapi.common.profile.ClientProfile;
import com.tencentcloudapi.common.profile.HttpProfile;
import com.tencentcloudapi.iai.v20200303.IaiClient;
import com.tencentcloudapi.iai.v20200303.models.GetGroupInfoRequest;
import com.tencentcloudapi.iai.v20200303.models.GetPersonGroupInfoRequest;
import com.tencentcloudapi.iai.v20200303.models.PersonGroupInfo;
import java.util.Arrays;
import java.util.List;

/** The vendor's SDK in front of a world. */
final class SdkClient {
    private final IaiClient sdk;

    SdkClient(IaiEmulator emulator) {
        this(emulator, emulator.secretKey());
    }

    SdkClient(IaiEmulator emulator, String secretKey) {
        var http = new HttpProfile();
        http.setProtocol("http://");
        http.setEndpoint(emulator.host());
        var profile = new ClientProfile();
        profile.setHttpProfile(http);
        sdk = new IaiClient(new Credential(emulator.secretId(), secretKey), "", profile);
    }

    /** Returns the name of a group, or the code of an API error. */
    String groupName(String groupId) {
        var request = new GetGroupInfoRequest();
        request.setGroupId(groupId);
        try {
            return sdk.GetGroupInfo(request).getGroupName();
        } catch (TencentCloudSDKException error) {
            return error.getErrorCode();
        }
    }

    /** Returns the ids of the groups that contain a person. */
    List<String> groups(String personId) throws TencentCloudSDKException {
        var request = new GetPersonGroupInfoRequest();
        request.setPersonId(personId);
        PersonGroupInfo[] infos = sdk.GetPersonGroupInfo(request).getPersonGroupInfos();
        if (infos == null) {
            return List.of();
        }
        return Arrays.stream(infos).map(PersonGroupInfo::getGroupId).toList();
    }
}
