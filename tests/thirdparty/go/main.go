// SPDX-License-Identifier: Apache-2.0
// A stranger's check of one record: go run . VERIFIER-KEY PROOF-FILE LINE-FILE. Uses golang.org/x/mod and nothing of ours.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(14)
	}
	return value
}

func main() {
	verifier := must(note.NewVerifier(os.Args[1]))
	head, signed, _ := strings.Cut(string(must(os.ReadFile(os.Args[2]))), "\n\n")
	opened := must(note.Open([]byte(signed), note.VerifierList(verifier)))
	fields := strings.Split(opened.Text, "\n") // origin, size, root: a tree with the name in place of x/mod's own
	tree := must(tlog.ParseTree([]byte("go.sum database tree\n" + strings.Join(fields[1:], "\n"))))
	lines := strings.Split(head, "\n")
	var index int64
	must(fmt.Sscanf(lines[0]+" "+lines[1], "c2sp.org/tlog-proof@v1 index %d", &index))
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		proof = append(proof, must(tlog.ParseHash(line)))
	}
	record := tlog.RecordHash(must(os.ReadFile(os.Args[3])))
	must(0, tlog.CheckRecord(proof, tree.N, tree.Hash, index, record))
	fmt.Println("record", index, "is in", fields[0], "of size", tree.N)
}
