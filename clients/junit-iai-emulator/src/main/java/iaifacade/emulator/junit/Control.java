package iaifacade.emulator.junit;

import com.google.gson.FieldNamingPolicy;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import java.io.IOException;
import java.net.ProxySelector;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.stream.Collectors;

/** Client of the emulator's control API: JSON over HTTP, with a bearer token if the emulator has one. */
final class Control {
    static final Gson GSON =
            new GsonBuilder()
                    .setFieldNamingPolicy(FieldNamingPolicy.LOWER_CASE_WITH_UNDERSCORES)
                    .create();

    /** Maximum time for a request that waits for nothing. */
    private static final Duration TIMEOUT = Duration.ofSeconds(10);

    private final String url;
    private final String token;
    private final HttpClient client;

    /** Creates a client for a URL such as {@code http://127.0.0.1:9081}, with a token or {@code null}. */
    Control(String url, String token) {
        if (!url.startsWith("http://")) {
            throw new IaiEmulatorException(
                    "'" + url + "' is not the URL of a control API, such as http://127.0.0.1:9081");
        }
        this.url = url.replaceFirst("/+$", "");
        this.token = token;
        // Without the proxies of the JVM: the emulator is on this machine or beside it.
        client =
                HttpClient.newBuilder()
                        .version(HttpClient.Version.HTTP_1_1)
                        .proxy(ProxySelector.of(null))
                        .connectTimeout(TIMEOUT)
                        .build();
    }

    String url() {
        return url;
    }

    JsonObject get(String path) {
        return call("GET", path, null, Duration.ZERO);
    }

    /** Gets a document that the emulator sends after at most this time. */
    JsonObject await(String path, Duration wait) {
        return call("GET", path, null, wait);
    }

    JsonObject put(String path, Object body) {
        return call("PUT", path, body, Duration.ZERO);
    }

    JsonObject post(String path, Object body) {
        return call("POST", path, body, Duration.ZERO);
    }

    void delete(String path) {
        call("DELETE", path, null, Duration.ZERO);
    }

    /** Returns the path of these segments. */
    static String path(String... segments) {
        return Arrays.stream(segments).map(Control::encoded).collect(Collectors.joining("/"));
    }

    private static String encoded(String segment) {
        return URLEncoder.encode(segment, StandardCharsets.UTF_8).replace("+", "%20");
    }

    /** Returns the document of the reply, or {@code null} if it has none. */
    private JsonObject call(String method, String path, Object body, Duration wait) {
        String target = url + "/v1/" + path;
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(target)).timeout(TIMEOUT.plus(wait));
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        if (body == null) {
            request.method(method, BodyPublishers.noBody());
        } else {
            request.header("Content-Type", "application/json");
            request.method(method, BodyPublishers.ofString(GSON.toJson(body)));
        }
        HttpResponse<String> response;
        try {
            response = client.send(request.build(), BodyHandlers.ofString());
        } catch (IOException error) {
            throw new IaiEmulatorException(
                    method + " " + target + ": " + error + "; is the emulator running?", error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new IaiEmulatorException(method + " " + target + " was interrupted", error);
        }
        if (response.statusCode() >= 300) {
            throw new IaiEmulatorException(method + " " + target + ": " + message(response));
        }
        return GSON.fromJson(response.body(), JsonObject.class);
    }

    /** Returns the message of a rejection. */
    private static String message(HttpResponse<String> response) {
        Rejection rejection = null;
        try {
            rejection = GSON.fromJson(response.body(), Rejection.class);
        } catch (JsonParseException notJson) {
            // Another server than the emulator: its status says the most.
        }
        if (rejection == null || rejection.error() == null) {
            return "HTTP " + response.statusCode() + ", without a message of the control API";
        }
        return rejection.error().message();
    }

    private record Rejection(Reason error) {}

    private record Reason(String message) {}
}
