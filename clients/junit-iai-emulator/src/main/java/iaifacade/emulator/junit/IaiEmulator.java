package iaifacade.emulator.junit;

import com.google.gson.JsonObject;
import java.net.URI;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * An isolated world of the emulator, as a parameter of a test. It has an account, groups, persons, faults, a
 * rate limit, a clock and a log of requests of its own, and is empty at first. The extension deletes it
 * after the test.
 *
 * <p>Values that the emulator rejects throw {@link IaiEmulatorException}, with the reason.
 */
public final class IaiEmulator {
    /** Maximum size of a page, which is that of the log of requests. */
    private static final int MAX_PAGE = 1_000;

    private static final Map<String, String> NOTHING = Map.of("to", "nothing");

    private final Control control;
    private final String endpoint;
    private final String secretId;
    private final String secretKey;

    IaiEmulator(Control control, String endpoint, String secretId, String secretKey) {
        this.control = control;
        this.endpoint = endpoint;
        this.secretId = secretId;
        this.secretKey = secretKey;
    }

    /** Creates a world with a generated credential. */
    static IaiEmulator create(Control control, String endpoint) {
        JsonObject world = control.post("worlds", Map.of("from", "nothing"));
        return new IaiEmulator(
                control,
                endpoint,
                world.get("secret_id").getAsString(),
                world.get("secret_key").getAsString());
    }

    void delete() {
        control.delete(Control.path("worlds", secretId));
    }

    /** Returns the {@code SecretId} of the credential whose requests the world receives. */
    public String secretId() {
        return secretId;
    }

    /** Returns the {@code SecretKey} of the credential whose requests the world receives. */
    public String secretKey() {
        return secretKey;
    }

    /** Returns the URL of the emulated API, which all worlds share. */
    public String endpoint() {
        return endpoint;
    }

    /** Returns host and port of the emulated API, as {@code HttpProfile} takes them. */
    public String host() {
        return URI.create(endpoint).getRawAuthority();
    }

    /** Adds or replaces a group. */
    public void putGroup(String groupId, String groupName) {
        putGroup(groupId, groupName, Map.of());
    }

    /**
     * Adds or replaces a group.
     *
     * @param fields further fields of fixtures: {@code group_ex_descriptions}, {@code tag}, {@code
     *     face_model_version} and {@code creation_timestamp}, in milliseconds and by default the time of
     *     the emulator
     */
    public void putGroup(String groupId, String groupName, Map<String, ?> fields) {
        var group = new HashMap<String, Object>(fields);
        group.put("group_name", groupName);
        control.put(path("groups", groupId), group);
    }

    /** Deletes a group. */
    public void deleteGroup(String groupId) {
        control.delete(path("groups", groupId));
    }

    /** Adds or replaces a person with the groups that contain it: at most 100, which need not exist. */
    public void putPerson(String personId, String... groupIds) {
        putPerson(
                personId,
                Arrays.stream(groupIds)
                        .map(id -> Map.of("group_id", id, "person_ex_descriptions", List.of()))
                        .toList());
    }

    /**
     * Adds or replaces a person with the groups that contain it: at most 100, which need not exist.
     *
     * @param groups for each group its {@code group_id} and {@code person_ex_descriptions}
     */
    public void putPerson(String personId, List<? extends Map<String, ?>> groups) {
        control.put(path("persons", personId), Map.of("groups", groups));
    }

    /** Deletes a person. */
    public void deletePerson(String personId) {
        control.delete(path("persons", personId));
    }

    /**
     * Appends a fault to the script.
     *
     * @param fault the keys of a fault of fixtures: one effect, such as {@code "api_error", Map.of("code",
     *     "InternalError")}, {@code "delay", "1500ms"} or {@code "cut", "before_headers"}, and the requests
     *     that it applies to: {@code action}, {@code id}, {@code times} (1 by default), {@code probability}
     * @return the id of the fault
     */
    public String addFault(Map<String, ?> fault) {
        return control.post(path("faults"), fault).get("fault_id").getAsString();
    }

    /** Deletes all faults. */
    public void clearFaults() {
        control.delete(path("faults"));
    }

    /** Limits the rate of requests; zero rejects all. */
    public void setRateLimit(int requestsPerSecond) {
        control.put(path("rate-limit"), Map.of("requests_per_second", requestsPerSecond));
    }

    /** Removes the limit of the rate of requests. */
    public void removeRateLimit() {
        control.delete(path("rate-limit"));
    }

    /** Sets the offset of the emulator's clock from the system clock, to the second. */
    public void setClockOffset(Duration offset) {
        control.put(path("clock"), Map.of("offset", offset.toSeconds() + "s"));
    }

    /** Returns the last 1,000 requests to the API, oldest first. */
    public List<ReceivedRequest> requests() {
        return page(control.get(path("requests") + "?limit=" + MAX_PAGE)).requests();
    }

    /**
     * Waits until the world has received {@code count} requests in all, and returns them as {@link
     * #requests} does.
     *
     * @param timeout whole seconds, at most 60
     * @throws AssertionError when the timeout ends
     */
    public List<ReceivedRequest> waitForRequests(int count, Duration timeout) {
        String query =
                "?count=%d&timeout_seconds=%d&limit=%d"
                        .formatted(count, timeout.toSeconds(), MAX_PAGE);
        Page page = page(control.await(path("requests", "wait") + query, timeout));
        if (!page.isReached()) {
            List<String> received =
                    page.requests().stream().map(it -> it.action() + ": " + it.result()).toList();
            throw new AssertionError(
                    "%d of %d requests were received within %d s: %s"
                            .formatted(page.count(), count, timeout.toSeconds(), received));
        }
        return page.requests();
    }

    /** Empties the world: deletes groups, persons, faults and requests, and resets rate limit and clock. */
    public void reset() {
        control.post(path("reset"), NOTHING);
    }

    private String path(String... segments) {
        return Control.path("worlds", secretId) + "/" + Control.path(segments);
    }

    private static Page page(JsonObject document) {
        return Control.GSON.fromJson(document, Page.class);
    }

    private record Page(long count, boolean isReached, List<ReceivedRequest> requests) {}
}
