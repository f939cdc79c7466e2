package iaifacade.emulator.junit;

import java.util.Map;

/**
 * A request to the emulated API, as its world has logged it.
 *
 * @param number its number, from 1 on
 * @param time when it was received, in RFC 3339
 * @param action the action that it names, such as {@code GetGroupInfo}
 * @param parameters the parameters by name; {@code null} if they could not be read
 * @param region the region, or {@code null}
 * @param secretId the {@code SecretId} that it names
 * @param result {@code success}, the code of an API error, or the fault in words
 * @param code the code of the API error, or {@code null}
 * @param faultId the id of the fault that applied, or {@code null}
 * @param requestId the {@code RequestId} of the response, or {@code null}
 * @param signatureRejection why the signature was rejected, or {@code null}
 */
public record ReceivedRequest(
        long number,
        String time,
        String action,
        Map<String, Object> parameters,
        String region,
        String secretId,
        String result,
        String code,
        String faultId,
        String requestId,
        SignatureRejection signatureRejection) {

    /**
     * Why a signature was rejected.
     *
     * @param reason the reason
     * @param canonicalRequest the canonical request that the emulator has computed, or {@code null}
     * @param stringToSign the string to sign that the emulator has computed, or {@code null}
     */
    public record SignatureRejection(
            String reason, String canonicalRequest, String stringToSign) {}
}
