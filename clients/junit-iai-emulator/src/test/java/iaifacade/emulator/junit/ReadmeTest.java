package iaifacade.emulator.junit;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class ReadmeTest {
    @Test
    void theReadmeHasTheExampleThatIsTested() throws Exception {
        String example = Files.readString(Path.of("src/test/java/GroupTest.java"));
        String readme = Files.readString(Path.of("README.md"));
        assertTrue(readme.contains("```java\n" + example + "```"), example);
    }
}
