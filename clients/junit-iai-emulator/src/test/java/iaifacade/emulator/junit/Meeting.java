package iaifacade.emulator.junit;

import java.time.Duration;

/**
 * Meetings with the suite of the pytest plugin. Both suites send a request to the world of {@code
 * IAI_EMULATOR_MEETING}, SECRET_ID:SECRET_KEY, and wait until as many have arrived as both have sent. Without
 * the variable this suite runs alone, and waits for none.
 */
final class Meeting {
    private final IaiEmulator world;
    private int number;
    private boolean isMissed;

    Meeting() {
        String credential = System.getenv("IAI_EMULATOR_MEETING");
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

    /** Waits until the other suite has come as far. After a meeting that it missed, fails at once. */
    void meet() {
        if (world == null) {
            return;
        }
        if (isMissed) {
            throw new AssertionError("the other suite has missed a meeting");
        }
        isMissed = true;
        number += 1;
        new SdkClient(world).groupName("meeting");
        world.waitForRequests(2 * number, Duration.ofSeconds(60));
        isMissed = false;
    }
}
