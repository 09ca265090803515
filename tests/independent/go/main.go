// Command check reads a ledger of Miax with code that is not Miax's: signed notes and the tree by golang.org/x/mod, zstd by
// klauspost. It recomputes the root of a dump and checks proofs that `miax ledger prove` wrote.
//
//	check dump KEY LEDGER.json                  the checkpoint's root is that of the entries
//	check inclusion KEY LEDGER.json PROOF       the proof is the one that x/mod makes, and proves the entry
//	check consistency KEY OLD PROOF             the proof's checkpoint continues the older one
//	check tiles KEY ARCHIVE                     every entry of an archive is proven by its tiles alone
//
// LEDGER.json is what `kubectl get configmap -n miax-ledger -o json` prints, with the ConfigMap miax-checkpoint among it.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type configMap struct {
	Metadata   struct{ Name string }
	Data       map[string]string
	BinaryData map[string][]byte
}

// ledger is a dump as it was read: nothing of it is verified yet.
type ledger struct {
	checkpoint string
	entries    [][]byte
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	fmt.Println("verified")
}

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("check dump|inclusion|consistency|tiles KEY FILE [PROOF]")
	}
	verifier, err := note.NewVerifier(args[1])
	if err != nil {
		return err
	}
	switch {
	case args[0] == "dump" && len(args) == 3:
		log, err := read(args[2])
		if err != nil {
			return err
		}
		_, err = log.verify(verifier)
		return err
	case args[0] == "inclusion" && len(args) == 4:
		return inclusion(verifier, args[2], args[3])
	case args[0] == "consistency" && len(args) == 4:
		return consistency(verifier, args[2], args[3])
	case args[0] == "tiles" && len(args) == 3:
		return tiles(verifier, args[2])
	}
	return fmt.Errorf("unknown command %q", args)
}

func read(path string) (*ledger, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list struct{ Items []configMap }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	sort.Slice(list.Items, func(a, b int) bool { return list.Items[a].Metadata.Name < list.Items[b].Metadata.Name })
	reader, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(8<<20))
	if err != nil {
		return nil, err
	}
	log := &ledger{}
	for _, item := range list.Items {
		switch {
		case item.Metadata.Name == "miax-checkpoint":
			log.checkpoint = item.Data["checkpoint"]
		case strings.HasPrefix(item.Metadata.Name, "ecm-"):
			bundle, err := reader.DecodeAll(item.BinaryData["entries"], nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", item.Metadata.Name, err)
			}
			if err := log.add(bundle); err != nil {
				return nil, fmt.Errorf("%s: %w", item.Metadata.Name, err)
			}
		}
	}
	return log, nil
}

// add takes the entries of a bundle: each has its length before it, in two bytes.
func (l *ledger) add(bundle []byte) error {
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return errors.New("the bundle is cut")
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		l.entries = append(l.entries, bundle[2:end])
		bundle = bundle[end:]
	}
	return nil
}

// verify recomputes the root and compares it with the signed one; it gives the hashes that proofs are made from.
func (l *ledger) verify(verifier note.Verifier) (tlog.HashReaderFunc, error) {
	tree, err := open(l.checkpoint, verifier)
	if err != nil {
		return nil, err
	}
	if int64(len(l.entries)) < tree.N {
		return nil, fmt.Errorf("the checkpoint is over %d entries, here are %d", tree.N, len(l.entries))
	}
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = hashes[index]
		}
		return found, nil
	})
	for i, entry := range l.entries[:tree.N] {
		stored, err := tlog.StoredHashes(int64(i), entry, reader)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, stored...)
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, fmt.Errorf("the root of the entries is %v, the checkpoint says %v", root, tree.Hash)
	}
	return reader, nil
}

// open gives size and root of a checkpoint that the log's key signed.
func open(checkpoint string, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of the log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// parse splits a proof into the number of its heading, its hashes and its checkpoint.
func parse(path, heading string) (int64, []tlog.Hash, string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, "", err
	}
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	digits, isHeading := strings.CutPrefix(head, heading)
	if !found || !isHeading {
		return 0, nil, "", errors.New("not a proof")
	}
	lines := strings.Split(digits, "\n")
	number, err := strconv.ParseInt(lines[0], 10, 64)
	if err != nil {
		return 0, nil, "", err
	}
	hashes := []tlog.Hash{}
	for _, line := range lines[1:] {
		bytes, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(bytes) != tlog.HashSize {
			return 0, nil, "", fmt.Errorf("%q is not a hash", line)
		}
		hashes = append(hashes, tlog.Hash(bytes))
	}
	return number, hashes, checkpoint, nil
}

func inclusion(verifier note.Verifier, dump, path string) error {
	log, err := read(dump)
	if err != nil {
		return err
	}
	reader, err := log.verify(verifier)
	if err != nil {
		return err
	}
	index, hashes, checkpoint, err := parse(path, "c2sp.org/tlog-proof@v1\nindex ")
	if err != nil {
		return err
	}
	tree, err := open(checkpoint, verifier)
	if err != nil {
		return err
	}
	if index >= int64(len(log.entries)) {
		return fmt.Errorf("there is no entry %d", index)
	}
	leaf := tlog.RecordHash(log.entries[index])
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, leaf); err != nil {
		return err
	}
	ours, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return err
	}
	if !slices.Equal(ours, hashes) {
		return errors.New("the proof is not the one that x/mod makes")
	}
	return nil
}

func consistency(verifier note.Verifier, old, path string) error {
	text, err := os.ReadFile(old)
	if err != nil {
		return err
	}
	before, err := open(string(text), verifier)
	if err != nil {
		return err
	}
	size, hashes, checkpoint, err := parse(path, "old ")
	if err != nil {
		return err
	}
	after, err := open(checkpoint, verifier)
	if err != nil {
		return err
	}
	if size != before.N {
		return fmt.Errorf("the proof begins at %d entries, the checkpoint is over %d", size, before.N)
	}
	return tlog.CheckTree(hashes, after.N, after.Hash, before.N, before.Hash)
}

// archive is a directory in the form of tlog-tiles, read by x/mod's own reader of tiles.
type archive string

// Height is that of all tiles of tlog-tiles.
func (a archive) Height() int { return 8 }

// ReadTiles gives the bytes of tiles; whoever asked checks them against the signed root.
func (a archive) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := [][]byte{}
	for _, tile := range tiles {
		// The checksum database has the height in its paths, tlog-tiles does not.
		bytes, err := os.ReadFile(filepath.Join(string(a), "tile", strings.TrimPrefix(tile.Path(), "tile/8/")))
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

// SaveTiles keeps nothing.
func (a archive) SaveTiles([]tlog.Tile, [][]byte) {}

func tiles(verifier note.Verifier, directory string) error {
	text, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := open(string(text), verifier)
	if err != nil {
		return err
	}
	log := &ledger{}
	for first := int64(0); first < tree.N; first += 256 {
		bundle := tlog.Tile{H: 8, L: 0, N: first / 256, W: int(min(256, tree.N-first))}
		path := strings.TrimPrefix(bundle.Path(), "tile/8/0/")
		bytes, err := os.ReadFile(filepath.Join(directory, "tile", "entries", path))
		if err != nil {
			return err
		}
		if err := log.add(bytes); err != nil {
			return fmt.Errorf("tile/entries/%s: %w", path, err)
		}
	}
	if int64(len(log.entries)) != tree.N {
		return fmt.Errorf("the checkpoint is over %d entries, here are %d", tree.N, len(log.entries))
	}
	reader := tlog.TileHashReader(tree, archive(directory))
	for index, entry := range log.entries {
		proof, err := tlog.ProveRecord(tree.N, int64(index), reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
	}
	return nil
}
