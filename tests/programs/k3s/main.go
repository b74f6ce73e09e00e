// A program of the shape of a k3s release file: it carries an archive, and does with it
// what k3s does (cmd/k3s, pkg/untar, pkg/dataverify), by the same library for zstd.
//
//	k3s [--data-dir DIR] PROGRAM ARGUMENTS...
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

//go:embed embed/*
var carried embed.FS

func main() {
	arguments := os.Args[1:]
	dataDir := "/var/lib/rancher/k3s"
	if len(arguments) > 1 && arguments[0] == "--data-dir" {
		dataDir, arguments = arguments[1], arguments[2:]
	}
	if len(arguments) == 0 {
		fail(errors.New("no program is named"))
	}
	dir, err := extract(dataDir)
	fail(err)
	fail(os.Setenv("PATH", dir+"/bin:"+os.Getenv("PATH")+":"+dir+"/bin/aux"))
	fail(os.Setenv("K3S_DATA_DIR", dir))
	program, err := exec.LookPath(arguments[0])
	fail(err)
	fail(syscall.Exec(program, arguments, os.Environ()))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "k3s:", err)
		os.Exit(1)
	}
}

// asset is the first file that is not hidden, in the order of names.
func asset() string {
	var names []string
	fail(fs.WalkDir(carried, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, path)
		}
		return err
	}))
	sort.Strings(names)
	return names[0]
}

// extract unpacks the archive where it is not unpacked yet: to a folder of its name.
func extract(dataDir string) (string, error) {
	name := asset()
	hash, _, _ := strings.Cut(filepath.Base(name), ".")
	dir := filepath.Join(dataDir, "data", hash)
	if _, err := os.Stat(filepath.Join(dir, "bin", "k3s")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Join(dataDir, "data"), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dataDir, "data", ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	content, err := carried.ReadFile(name)
	if err != nil {
		return "", err
	}
	temporary := dir + "-tmp"
	os.RemoveAll(temporary)
	defer os.RemoveAll(temporary)
	if err := untar(content, temporary); err != nil {
		return "", err
	}
	if err := verify(filepath.Join(temporary, "bin")); err != nil {
		return "", err
	}
	current := filepath.Join(dataDir, "data", "current")
	if _, err := os.Lstat(current); err == nil {
		if err := os.Rename(current, filepath.Join(dataDir, "data", "previous")); err != nil {
			return "", err
		}
	}
	if err := os.Symlink(dir, current); err != nil {
		return "", err
	}
	return dir, os.Rename(temporary, dir)
}

func untar(content []byte, dir string) error {
	// As much memory as k3s allows.
	unpacked, err := zstd.NewReader(bytes.NewReader(content), zstd.WithDecoderMaxMemory(1<<25))
	if err != nil {
		return err
	}
	defer unpacked.Close()
	entries := tar.NewReader(unpacked)
	for {
		entry, err := entries.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tar: %w", err)
		}
		path := filepath.Join(dir, entry.Name)
		switch entry.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(entry.Linkname, path)
		case tar.TypeReg:
			err = put(path, entry.FileInfo().Mode().Perm(), entries)
		default:
			err = fmt.Errorf("%s: unsupported type %c", entry.Name, entry.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

func put(path string, mode os.FileMode, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, content)
	return err
}

// verify checks what was unpacked against the two lists in it.
func verify(bin string) error {
	err := each(bin, ".sha256sums", func(sum, file string) error {
		content, err := os.ReadFile(filepath.Join(bin, file))
		if err == nil && fmt.Sprintf("%x", sha256.Sum256(content)) != sum {
			err = fmt.Errorf("the sha256 of %s is not %s", file, sum)
		}
		return err
	})
	if err != nil {
		return err
	}
	return each(bin, ".links", func(file, target string) error {
		actual, err := os.Readlink(filepath.Join(bin, file))
		if err == nil && actual != target {
			err = fmt.Errorf("%s leads to %s, not %s", file, actual, target)
		}
		return err
	})
}

func each(bin, list string, check func(first, second string) error) error {
	file, err := os.Open(filepath.Join(bin, list))
	if err != nil {
		return err
	}
	defer file.Close()
	count := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			return fmt.Errorf("%s: %q", list, lines.Text())
		}
		if err := check(fields[0], fields[1]); err != nil {
			return err
		}
		count++
	}
	if count == 0 {
		return fmt.Errorf("%s is empty", list)
	}
	return lines.Err()
}
