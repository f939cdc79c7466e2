package iaifacade.emulator.junit;

import com.google.gson.JsonParseException;
import com.google.gson.annotations.SerializedName;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The emulator whose worlds the tests get: one that runs already, or a process of this test run. */
final class Server implements AutoCloseable {
    /** Maximum time from the start of the program until it listens, and from its signal to its end. */
    private static final int TIMEOUT_SECONDS = 30;

    private final Control control;
    private final String endpoint;

    /** The process; {@code null} if the emulator is not one of this test run. */
    private final Process process;

    private Server(Control control, String endpoint, Process process) {
        this.control = control;
        this.endpoint = endpoint;
        this.process = process;
    }

    /** Uses the emulator that the environment names, or starts one. */
    static Server of(Map<String, String> environment) {
        String control = environment.getOrDefault("IAI_EMULATOR_CONTROL", "");
        if (control.isEmpty()) {
            return start(environment.getOrDefault("IAI_FACADE_PROGRAM", "iai-facade"));
        }
        String endpoint = environment.getOrDefault("IAI_EMULATOR_ENDPOINT", "");
        if (endpoint.isEmpty()) {
            throw new IaiEmulatorException(
                    "IAI_EMULATOR_CONTROL is set: set IAI_EMULATOR_ENDPOINT to the URL of the"
                            + " emulated API too, such as http://127.0.0.1:9080");
        }
        return new Server(new Control(control, environment.get("IAI_EMULATOR_TOKEN")), endpoint, null);
    }

    Control control() {
        return control;
    }

    String endpoint() {
        return endpoint;
    }

    /** Stops the process. */
    @Override
    public void close() throws InterruptedException {
        if (process == null) {
            return;
        }
        process.destroy();
        if (!process.waitFor(TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
    }

    private static Server start(String program) {
        Process process = spawn(program);
        // A JVM that is terminated closes nothing.
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroy));
        var started = new CompletableFuture<Server>();
        var reader = new Thread(() -> readLog(process, program, started), "iai-emulator-log");
        reader.setDaemon(true);
        reader.start();
        try {
            return started.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw new IaiEmulatorException(error.getCause().getMessage(), error);
        } catch (TimeoutException error) {
            process.destroyForcibly();
            throw new IaiEmulatorException(
                    program + " emulate did not start within " + TIMEOUT_SECONDS + " s", error);
        } catch (InterruptedException error) {
            process.destroy();
            Thread.currentThread().interrupt();
            throw new IaiEmulatorException("the start of the emulator was interrupted", error);
        }
    }

    private static Process spawn(String program) {
        var builder =
                new ProcessBuilder(
                        program,
                        "emulate",
                        "--listen=127.0.0.1:0",
                        "--control-listen=127.0.0.1:0",
                        "--log-format=json");
        // The settings of a service under test are not those of its emulator.
        builder.environment().keySet().removeIf(name -> name.startsWith("IAI_FACADE_"));
        builder.redirectOutput(Redirect.DISCARD);
        try {
            return builder.start();
        } catch (IOException error) {
            throw new IaiEmulatorException(
                    "the program "
                            + program
                            + " cannot be run: install it to the PATH, or set IAI_FACADE_PROGRAM to"
                            + " its path",
                    error);
        }
    }

    /** Reads the log to its end, so that the emulator never waits for it. */
    private static void readLog(Process process, String program, CompletableFuture<Server> started) {
        var lines = new StringBuilder();
        try (BufferedReader log = process.errorReader(StandardCharsets.UTF_8)) {
            for (String line = log.readLine(); line != null; line = log.readLine()) {
                if (started.isDone()) {
                    continue;
                }
                lines.append(line).append('\n');
                Addresses addresses = addresses(line);
                if (addresses != null && addresses.control() != null) {
                    var control = new Control("http://" + addresses.control(), null);
                    started.complete(new Server(control, addresses.endpoint(), process));
                }
            }
        } catch (IOException closed) {
            // The process was stopped.
        }
        started.completeExceptionally(
                new IaiEmulatorException(program + " emulate did not start:\n" + lines));
    }

    /** Returns the addresses of a line of the log; {@code null} if it is not one. */
    private static Addresses addresses(String line) {
        try {
            return Control.GSON.fromJson(line, Addresses.class);
        } catch (JsonParseException notJson) {
            return null;
        }
    }

    private record Addresses(
            String endpoint, @SerializedName("control.address") String control) {}
}
