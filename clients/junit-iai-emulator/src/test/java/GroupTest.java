import static org.junit.jupiter.api.Assertions.assertEquals;

import com.tencentcloudapi.common.Credential;
import com.tencentcloudapi.common.profile.ClientProfile;
import com.tencentcloudapi.common.profile.HttpProfile;
import com.tencentcloudapi.iai.v20200303.IaiClient;
import com.tencentcloudapi.iai.v20200303.models.GetGroupInfoRequest;
import iaifacade.emulator.junit.IaiEmulator;
import iaifacade.emulator.junit.IaiEmulatorExtension;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(IaiEmulatorExtension.class)
class GroupTest {
    @Test
    void hasAName(IaiEmulator emulator) throws Exception {
        emulator.putGroup("staff", "Staff");
        emulator.putPerson("alice", "staff");
        var request = new GetGroupInfoRequest();
        request.setGroupId("staff");

        assertEquals("Staff", client(emulator).GetGroupInfo(request).getGroupName());
        var received = emulator.waitForRequests(1, Duration.ofSeconds(10));
        assertEquals(Map.of("GroupId", "staff"), received.get(0).parameters());
    }

    private static IaiClient client(IaiEmulator emulator) {
        var http = new HttpProfile();
        http.setProtocol("http://");
        http.setEndpoint(emulator.host());
        var profile = new ClientProfile();
        profile.setHttpProfile(http);
        return new IaiClient(new Credential(emulator.secretId(), emulator.secretKey()), "", profile);
    }
}
