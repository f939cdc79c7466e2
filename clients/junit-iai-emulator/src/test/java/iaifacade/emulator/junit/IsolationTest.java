package iaifacade.emulator.junit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * 50 tests that would fail if another suite shared their worlds: test_isolation.py seeds the same ids with
 * other values, in the same order. A barrier holds each test until its counterpart has come as
 * far.
 */
@ExtendWith(IaiEmulatorExtension.class)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class IsolationTest {
    private static final int ROUNDS = 5;
    private static final String MINE = "java";
    private static final String THEIRS = "python";
    private static final String NO_GROUP = "InvalidParameterValue.GroupIdNotExist";
    private static final Map<String, ?> INTERNAL_ERROR = Map.of("code", "InternalError");
    private static final Barrier BARRIER = new Barrier();

    private SdkClient client;
    private int round;

    /** Whether this suite is the one that acts in a round in which only one does. */
    private boolean isActive;

    @BeforeEach
    void prepare(IaiEmulator emulator, RepetitionInfo repetition) {
        client = new SdkClient(emulator);
        round = repetition.getCurrentRepetition() - 1;
        isActive = round % 2 == 1;
    }

    @Order(1)
    @RepeatedTest(ROUNDS)
    void aGroupHasTheNameOfItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE + " " + round);
        BARRIER.await();
        assertEquals(MINE + " " + round, client.groupName("team"));
        BARRIER.await();
    }

    @Order(2)
    @RepeatedTest(ROUNDS)
    void aPersonHasTheGroupsOfItsOwnWorld(IaiEmulator emulator) throws Exception {
        List<String> groups = IntStream.rangeClosed(0, round).mapToObj(it -> MINE + "-" + it).toList();
        emulator.putPerson("alice", groups.toArray(String[]::new));
        BARRIER.await();
        assertEquals(groups, client.groups("alice"));
        BARRIER.await();
    }

    @Order(3)
    @RepeatedTest(ROUNDS)
    void theGroupsOfOtherWorldsDoNotExist(IaiEmulator emulator) {
        emulator.putGroup(MINE + "-" + round, MINE);
        BARRIER.await();
        assertEquals(MINE, client.groupName(MINE + "-" + round));
        assertEquals(NO_GROUP, client.groupName(THEIRS + "-" + round));
        BARRIER.await();
    }

    @Order(4)
    @RepeatedTest(ROUNDS)
    void aFaultAppliesToItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE);
        if (isActive) {
            emulator.addFault(Map.of("api_error", INTERNAL_ERROR, "times", 100));
        }
        BARRIER.await();
        assertEquals(isActive ? "InternalError" : MINE, client.groupName("team"));
        BARRIER.await();
    }

    @Order(5)
    @RepeatedTest(ROUNDS)
    void aFaultCountsTheRequestsOfItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE);
        int times = 1 + round;
        emulator.addFault(
                Map.of("action", "GetGroupInfo", "api_error", INTERNAL_ERROR, "times", times));
        BARRIER.await();
        for (int call = 0; call < times; call++) {
            assertEquals("InternalError", client.groupName("team"));
        }
        assertEquals(MINE, client.groupName("team"));
        BARRIER.await();
    }

    @Order(6)
    @RepeatedTest(ROUNDS)
    void theLogHasTheRequestsOfItsOwnWorld(IaiEmulator emulator) {
        List<String> ids = IntStream.rangeClosed(0, round).mapToObj(it -> MINE + "-" + it).toList();
        ids.forEach(client::groupName);
        BARRIER.await();
        List<ReceivedRequest> requests = emulator.requests();
        assertEquals(ids, requests.stream().map(it -> it.parameters().get("GroupId")).toList());
        assertEquals(
                Collections.nCopies(ids.size(), NO_GROUP),
                requests.stream().map(ReceivedRequest::code).toList());
        BARRIER.await();
    }

    @Order(7)
    @RepeatedTest(ROUNDS)
    void aWaitCountsTheRequestsOfItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE);
        if (!isActive) {
            client.groupName("team");
            BARRIER.await();
            BARRIER.await();
            return;
        }
        BARRIER.await();
        var error =
                assertThrows(
                        AssertionError.class, () -> emulator.waitForRequests(1, Duration.ZERO));
        assertEquals("0 of 1 requests were received within 0 s: []", error.getMessage());
        var waiting =
                CompletableFuture.supplyAsync(
                        () -> emulator.waitForRequests(1, Duration.ofSeconds(10)));
        assertEquals(MINE, client.groupName("team"));
        assertEquals(
                List.of(Map.of("GroupId", "team")),
                waiting.join().stream().map(ReceivedRequest::parameters).toList());
        BARRIER.await();
    }

    @Order(8)
    @RepeatedTest(ROUNDS)
    void aResetEmptiesItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE);
        emulator.addFault(Map.of("api_error", INTERNAL_ERROR));
        assertEquals("InternalError", client.groupName("team"));
        BARRIER.await();
        if (isActive) {
            emulator.reset();
        }
        BARRIER.await();
        assertEquals(isActive ? 0 : 1, emulator.requests().size());
        assertEquals(isActive ? NO_GROUP : MINE, client.groupName("team"));
    }

    @Order(9)
    @RepeatedTest(ROUNDS)
    void aRateLimitAppliesToItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE);
        if (isActive) {
            emulator.setRateLimit(0);
        }
        BARRIER.await();
        assertEquals(isActive ? "RequestLimitExceeded" : MINE, client.groupName("team"));
        BARRIER.await();
        emulator.removeRateLimit();
        assertEquals(MINE, client.groupName("team"));
    }

    @Order(10)
    @RepeatedTest(ROUNDS)
    void aClockBelongsToItsOwnWorld(IaiEmulator emulator) {
        emulator.putGroup("team", MINE);
        if (isActive) {
            emulator.setClockOffset(Duration.ofHours(1));
        }
        BARRIER.await();
        assertEquals(isActive ? "AuthFailure.SignatureExpire" : MINE, client.groupName("team"));
        BARRIER.await();
        emulator.setClockOffset(Duration.ZERO);
        assertEquals(MINE, client.groupName("team"));
    }
}
