/** JUnit 5 extension that gives each test a world of the emulator of the API of Face Recognition (IAI). */
package iaifacade.emulator.junit;
