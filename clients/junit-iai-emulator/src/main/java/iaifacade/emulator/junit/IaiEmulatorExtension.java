package iaifacade.emulator.junit;

import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolutionException;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * Resolves parameters of type {@link IaiEmulator}: each test has one empty world, which its methods
 * annotated with {@code @BeforeEach}, {@code @AfterEach} and {@code @Test} share, and which is deleted after
 * it.
 *
 * <p>The emulator is the one at the variables {@code IAI_EMULATOR_CONTROL} and {@code
 * IAI_EMULATOR_ENDPOINT}, with the token {@code IAI_EMULATOR_TOKEN} if its control API has one. By default
 * it is a process of the program {@code IAI_FACADE_PROGRAM}, or of {@code iai-facade} of the {@code PATH},
 * which the first test starts, which all tests of the run share, and which ends with the run.
 */
public final class IaiEmulatorExtension implements ParameterResolver {
    private static final Namespace NAMESPACE = Namespace.create(IaiEmulatorExtension.class);

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == IaiEmulator.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        if (context.getTestMethod().isEmpty()) {
            throw new ParameterResolutionException(
                    "an IaiEmulator belongs to one test: it can be a parameter of methods with @Test,"
                            + " @BeforeEach or @AfterEach, not of constructors, @BeforeAll or @AfterAll");
        }
        return world(context).emulator();
    }

    private static World world(ExtensionContext context) {
        return context.getStore(NAMESPACE)
                .getOrComputeIfAbsent("world", key -> create(server(context)), World.class);
    }

    private static Server server(ExtensionContext context) {
        return context.getRoot()
                .getStore(NAMESPACE)
                .getOrComputeIfAbsent("server", key -> Server.of(System.getenv()), Server.class);
    }

    private static World create(Server server) {
        return new World(IaiEmulator.create(server.control(), server.endpoint()));
    }

    /** The world of a test in its store, which closes it after the test. */
    private record World(IaiEmulator emulator) implements AutoCloseable {
        @Override
        public void close() {
            emulator.delete();
        }
    }
}
