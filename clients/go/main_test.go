package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestGroupIsPrinted(t *testing.T) {
	address := serve(t)

	if err := show(address, "aaa"); err != nil {
		t.Fatal(explain(err))
	}
}

func TestUnixSocketIsServed(t *testing.T) {
	socket := "unix:" + t.TempDir() + "/facade.sock"
	start(t, "--listen="+socket)

	if err := show(socket, "aaa"); err != nil {
		t.Fatal(explain(err))
	}
}

func TestErrorIsExplained(t *testing.T) {
	address := serve(t)

	text := explain(show(address, "zzz"))

	want := "NotFound: InvalidParameterValue.GroupIdNotExist: The group ID does not exist.\n" +
		"reason: iai.tencentcloudapi.com/INVALID_PARAMETER_VALUE_GROUP_ID_NOT_EXIST"
	if text != want {
		t.Fatalf("got:\n%s\nwant:\n%s", text, want)
	}
}

func TestRetryDelayIsExplained(t *testing.T) {
	address := serve(t, "[[faults]]\napi_error = { code = \"RequestLimitExceeded\" }\ntimes = 100\n")

	text := explain(show(address, "aaa"))

	if !strings.HasPrefix(text, "ResourceExhausted: ") || !strings.Contains(text, "\ntry again in 1s\n") {
		t.Fatal(text)
	}
}

// serve starts the service with an emulator as upstream, with optional fixtures, and returns the address
// of the gRPC listener. The end of the test stops the service and checks its exit code.
func serve(t *testing.T, fixtures ...string) string {
	t.Helper()
	arguments := []string{"--listen=127.0.0.1:0"}
	for _, text := range fixtures {
		file := t.TempDir() + "/fixtures.toml"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "--fixtures="+file)
	}
	return start(t, arguments...)
}

// start starts the service with these flags, as serve does.
func start(t *testing.T, flags ...string) string {
	t.Helper()
	arguments := append([]string{"serve", "--emulate", "--admin-listen=127.0.0.1:0", "--log-format=json"}, flags...)
	program := exec.Command(os.Getenv("IAI_FACADE_BIN"), arguments...)
	program.Env = append(os.Environ(), "IAI_FACADE_ADAPTIVE_RATE=off", "IAI_FACADE_UNREADY_DELAY=0s")
	log, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}

	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct {
			Message string `json:"message"`
			Address string `json:"grpc.address"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "listening" {
			t.Cleanup(func() { stop(t, program, log) })
			return line.Address
		}
	}
	t.Fatal("the program exited before it was listening")
	return ""
}

func stop(t *testing.T, program *exec.Cmd, log io.Reader) {
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, log); err != nil {
		t.Error(err)
	}
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
}
