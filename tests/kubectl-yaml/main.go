// Reads manifests as kubectl does (k8s.io/cli-runtime, StreamVisitor): the second opinion of tests/it/cli/differential.rs.
//
// Standard input has one JSON string per line: the text of a file. Standard output has one line for each: the documents as
// JSON, and the error at which reading stopped.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

type result struct {
	Documents []json.RawMessage `json:"documents"`
	Error     string            `json:"error,omitempty"`
}

func read(text string) result {
	read := result{Documents: []json.RawMessage{}}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		ext := runtime.RawExtension{}
		if err := decoder.Decode(&ext); err != nil {
			if !errors.Is(err, io.EOF) {
				read.Error = err.Error()
			}
			return read
		}
		raw := bytes.TrimSpace(ext.Raw)
		if len(raw) > 0 && !bytes.Equal(raw, []byte("null")) {
			read.Documents = append(read.Documents, raw)
		}
	}
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var text string
		if err := json.Unmarshal(line, &text); err != nil {
			panic(err)
		}
		answer, err := json.Marshal(read(text))
		if err != nil {
			panic(err)
		}
		out.Write(append(answer, '\n'))
		out.Flush()
	}
}
