package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// logger is where a command's messages go. Errors and warnings of a command
// without --log are for the person at the terminal.
var logger struct {
	file  *os.File // nil is standard error
	json  bool
	debug bool
}

// openLog sends log lines where --log says, in the form that runc gives them:
// engines read the last JSON line of the file to learn why a command failed.
func openLog(cmd *cli.Command) error {
	logger.debug = cmd.Bool("debug")
	switch format := cmd.String("log-format"); format {
	case "json":
		logger.json = true
	case "text":
	default:
		return fmt.Errorf("invalid log-format: %s", format)
	}
	path := cmd.String("log")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log file: %w", err)
	}
	logger.file = f
	return nil
}

// warn logs what was asked for and is not done.
func warn(text string) { logLine("warning", text) }

// note logs what only someone who debugs wants to know.
func note(text string) {
	if logger.debug {
		logLine("debug", text)
	}
}

// logError logs why a command failed, and tells the person too.
func logError(text string) {
	if logger.file != nil {
		logLine("error", text)
	}
	fmt.Fprintln(os.Stderr, "runsc:", oneLine(text))
}

func logLine(level, text string) {
	text = oneLine(text)
	now := time.Now().Format(time.RFC3339)
	switch {
	case logger.json:
		raw, err := json.Marshal(map[string]string{"level": level, "msg": text, "time": now})
		if err == nil {
			logTo(string(raw) + "\n")
		}
	case logger.file == nil:
		logTo(fmt.Sprintf("runsc: %s: %s\n", level, text))
	default:
		logTo(fmt.Sprintf("time=%q level=%s msg=%q\n", now, level, text))
	}
}

func logTo(line string) {
	out := logger.file
	if out == nil {
		out = os.Stderr
	}
	out.WriteString(line) // a log that cannot be written is told to nobody
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
