package iaifacade.emulator.junit;

/** The emulator did not start, rejected a request to its control API, or did not answer it. */
public final class IaiEmulatorException extends RuntimeException {
    private static final long serialVersionUID = 1;

    IaiEmulatorException(String message) {
        super(message);
    }

    IaiEmulatorException(String message, Throwable cause) {
        super(message, cause);
    }
}
