import com.google.gson.Gson;
import com.tencentcloudapi.common.Credential;
import com.tencentcloudapi.common.exception.TencentCloudSDKException;
import com.tencentcloudapi.common.profile.ClientProfile;
import com.tencentcloudapi.common.profile.HttpProfile;
import com.tencentcloudapi.iai.v20200303.IaiClient;
import com.tencentcloudapi.iai.v20200303.models.GetGroupInfoRequest;
import com.tencentcloudapi.iai.v20200303.models.GetPersonGroupInfoRequest;
import com.tencentcloudapi.iai.v20200303.models.PersonGroupInfo;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;

/** Calls both operations by the SDK for Java at each endpoint, by GET and POST. */
public class Client {
    public static void main(String[] endpoints) throws TencentCloudSDKException {
        for (String endpoint : endpoints) {
            for (String method : List.of("GET", "POST")) {
                IaiClient client = connect(endpoint, method, "emulator-secret");
                var result = new LinkedHashMap<String, Object>();
                result.put("endpoint", endpoint);
                result.put("method", method);
                result.put("name", groupName(client, "known"));
                result.put("pages", pages(client, "alice"));
                result.put("unknown", errorCode(client, "unknown"));
                result.put("wrong_key", errorCode(connect(endpoint, method, "wrong"), "known"));
                System.out.println(new Gson().toJson(result));
            }
        }
    }

    private static IaiClient connect(String endpoint, String method, String secretKey) {
        String[] parts = endpoint.split("(?<=://)");
        var http = new HttpProfile();
        http.setProtocol(parts[0]);
        http.setEndpoint(parts[1]);
        http.setReqMethod(method);
        var profile = new ClientProfile();
        profile.setHttpProfile(http);
        return new IaiClient(new Credential("AKIDEMULATOR", secretKey), "", profile);
    }

    private static String groupName(IaiClient client, String id) throws TencentCloudSDKException {
        var request = new GetGroupInfoRequest();
        request.setGroupId(id);
        return client.GetGroupInfo(request).getGroupName();
    }

    private static String errorCode(IaiClient client, String id) {
        try {
            return groupName(client, id);
        } catch (TencentCloudSDKException error) {
            return error.getErrorCode();
        }
    }

    private static List<List<String>> pages(IaiClient client, String id)
            throws TencentCloudSDKException {
        var pages = new ArrayList<List<String>>();
        var request = new GetPersonGroupInfoRequest();
        request.setPersonId(id);
        request.setLimit(10L);
        long total = 1;
        for (long offset = 0; offset < total; offset += request.getLimit()) {
            request.setOffset(offset);
            var response = client.GetPersonGroupInfo(request);
            var groups = Arrays.stream(response.getPersonGroupInfos());
            pages.add(groups.map(PersonGroupInfo::getGroupId).toList());
            total = response.getGroupNum();
        }
        return pages;
    }
}
