package iaifacade.emulator.junit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Events;

@ExtendWith(IaiEmulatorExtension.class)
class IaiEmulatorExtensionTest {
    private IaiEmulator ofBeforeEach;

    @BeforeEach
    void keep(IaiEmulator emulator) {
        ofBeforeEach = emulator;
    }

    @Test
    void theMethodsOfATestShareItsWorld(IaiEmulator emulator) {
        assertSame(ofBeforeEach, emulator);
    }

    @Test
    void eachTestHasAWorldThatIsDeletedAfterIt() {
        events(TwoTests.class).assertStatistics(it -> it.started(2).succeeded(2));
    }

    @Test
    void aConstructorHasNoWorld() {
        Events events = events(WithConstructor.class);
        events.assertStatistics(it -> it.started(1).failed(1));
        String message =
                events.failed().stream()
                        .map(it -> it.getRequiredPayload(TestExecutionResult.class))
                        .map(it -> it.getThrowable().orElseThrow().getMessage())
                        .findFirst()
                        .orElseThrow();
        assertTrue(message.contains("an IaiEmulator belongs to one test"), message);
    }

    @Test
    void aRejectionOfTheControlApiHasItsMessage(IaiEmulator emulator) {
        var fault = Map.of("api_error", Map.of("code", "no-such-code"));
        var error = assertThrows(IaiEmulatorException.class, () -> emulator.addFault(fault));
        assertTrue(error.getMessage().contains("no-such-code"), error.getMessage());
    }

    @Test
    void aWrongKeyIsExplained(IaiEmulator emulator) {
        String code = new SdkClient(emulator, "wrong").groupName("team");
        assertEquals("AuthFailure.SignatureFailure", code);
        var rejection = emulator.requests().get(0).signatureRejection();
        assertTrue(rejection.reason().contains("SecretKey"), rejection.reason());
        assertNotNull(rejection.canonicalRequest());
    }

    @Test
    void faultsAndItemsAreDeleted(IaiEmulator emulator) throws Exception {
        var client = new SdkClient(emulator);
        emulator.putGroup("team", "Team", Map.of("tag", "internal"));
        emulator.putPerson(
                "alice",
                List.of(Map.of("group_id", "team", "person_ex_descriptions", List.of("1"))));
        emulator.addFault(Map.of("status", Map.of("code", 503)));
        emulator.clearFaults();
        assertEquals("Team", client.groupName("team"));
        assertEquals(List.of("team"), client.groups("alice"));
        emulator.deleteGroup("team");
        emulator.deletePerson("alice");
        assertEquals("InvalidParameterValue.GroupIdNotExist", client.groupName("team"));
        assertEquals(List.of(), client.groups("alice"));
    }

    private static Events events(Class<?> tests) {
        return EngineTestKit.engine("junit-jupiter")
                .selectors(selectClass(tests))
                .execute()
                .testEvents();
    }

    /** Run by a test: Maven runs no nested classes. */
    @ExtendWith(IaiEmulatorExtension.class)
    static class TwoTests {
        private static IaiEmulator previous;

        @RepeatedTest(2)
        void world(IaiEmulator emulator) {
            if (previous != null) {
                assertNotEquals(previous.secretId(), emulator.secretId());
                assertThrows(IaiEmulatorException.class, previous::requests);
            }
            assertEquals(List.of(), emulator.requests());
            previous = emulator;
        }
    }

    /** Run by a test, as the class above. */
    @ExtendWith(IaiEmulatorExtension.class)
    static class WithConstructor {
        WithConstructor(IaiEmulator emulator) {
            emulator.reset();
        }

        @Test
        void world() {}
    }
}
