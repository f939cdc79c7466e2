package iaifacade.emulator.junit;

import java.time.Duration;

/**
 * A barrier that this suite shares with that of the pytest plugin. Both send a request to the world of {@code
 * IAI_EMULATOR_BARRIER}, SECRET_ID:SECRET_KEY, and wait until it has received as many as both have sent.
 * Without the variable, this suite runs alone and does not wait.
 */
final class Barrier {
    private final IaiEmulator world;
    private int generation;
    private boolean isBroken;

    Barrier() {
        String credential = System.getenv("IAI_EMULATOR_BARRIER");
        if (credential == null) {
            world = null;
            return;
        }
        String[] parts = credential.split(":");
        var control =
                new Control(
                        System.getenv("IAI_EMULATOR_CONTROL"), System.getenv("IAI_EMULATOR_TOKEN"));
        world =
                new IaiEmulator(
                        control, System.getenv("IAI_EMULATOR_ENDPOINT"), parts[0], parts[1]);
    }

    /** Waits until the other suite has come as far. Fails at once after a wait that has timed out. */
    void await() {
        if (world == null) {
            return;
        }
        if (isBroken) {
            throw new AssertionError("the other suite did not reach the barrier before");
        }
        isBroken = true;
        generation += 1;
        new SdkClient(world).groupName("barrier");
        world.waitForRequests(2 * generation, Duration.ofSeconds(60));
        isBroken = false;
    }
}
