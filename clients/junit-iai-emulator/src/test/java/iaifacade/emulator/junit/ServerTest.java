package iaifacade.emulator.junit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.ConnectException;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServerTest {
    private static final String PROGRAM = System.getenv("IAI_FACADE_PROGRAM");

    @Test
    void aStartedEmulatorEndsWithTheServer() throws Exception {
        Server server = Server.of(Map.of("IAI_FACADE_PROGRAM", PROGRAM));
        assertEquals("ready", server.control().get("ready").get("status").getAsString());
        server.close();
        int port = URI.create(server.endpoint()).getPort();
        assertThrows(ConnectException.class, () -> new Socket("127.0.0.1", port).close());
    }

    @Test
    void aRunningEmulatorIsUsedAndLeftRunning() throws Exception {
        try (Server running = Server.of(Map.of("IAI_FACADE_PROGRAM", PROGRAM))) {
            var environment =
                    Map.of(
                            "IAI_EMULATOR_CONTROL", running.control().url(),
                            "IAI_EMULATOR_ENDPOINT", running.endpoint(),
                            "IAI_FACADE_PROGRAM", "/nonexistent");
            Server.of(environment).close();
            assertEquals("ready", running.control().get("ready").get("status").getAsString());
        }
    }

    @Test
    void theEndpointOfARunningEmulatorIsRequired() {
        var environment = Map.of("IAI_EMULATOR_CONTROL", "http://127.0.0.1:1");
        assertFails("set IAI_EMULATOR_ENDPOINT", environment);
    }

    @Test
    void theAddressOfTheControlApiMustBeItsUrl() {
        var environment =
                Map.of(
                        "IAI_EMULATOR_CONTROL", "127.0.0.1:9081",
                        "IAI_EMULATOR_ENDPOINT", "http://127.0.0.1:9080");
        assertFails("is not the URL of a control API", environment);
    }

    @Test
    void aMissingProgramIsNamed() {
        assertFails("/nonexistent cannot be run", Map.of("IAI_FACADE_PROGRAM", "/nonexistent"));
    }

    @Test
    void theLogOfAFailedStartIsShown(@TempDir Path folder) throws Exception {
        Path program = folder.resolve("program");
        Files.writeString(program, "#!/bin/sh\necho the reason >&2\n");
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwx------"));
        assertFails("the reason", Map.of("IAI_FACADE_PROGRAM", program.toString()));
    }

    private static void assertFails(String message, Map<String, String> environment) {
        var error = assertThrows(IaiEmulatorException.class, () -> Server.of(environment));
        assertTrue(error.getMessage().contains(message), error.getMessage());
    }
}
