// Command roundtrip reads events, a JSON array on stdin; it writes what the generated package makes of each.
package main

import (
	"encoding/json"
	"os"

	"MODULE"
)

type outcome struct {
	Event json.Marshaler `json:"event,omitempty"`
	Known bool           `json:"known"`
	Error string         `json:"error,omitempty"`
}

func main() {
	var bodies []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&bodies); err != nil {
		panic(err)
	}
	outcomes := make([]outcome, len(bodies))
	for index, body := range bodies {
		event, err := PACKAGE.Parse(body)
		if err != nil {
			outcomes[index].Error = err.Error()
			continue
		}
		_, unknown := event.(*PACKAGE.UnknownEvent)
		outcomes[index] = outcome{Event: event, Known: !unknown}
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcomes); err != nil {
		panic(err)
	}
}
