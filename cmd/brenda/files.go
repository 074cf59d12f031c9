package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"brenda/rest/files"
	"brenda/rest/files/vault"
	"brenda/rest/health"
)

type filesConfig struct {
	Root         string        `placeholder:"DIR" help:"Folder of clients' files; default: files in the data folder."`
	MaxUpload    int           `default:"100" help:"Megabytes that one upload may have."`
	MaxResumable int           `default:"4096" help:"Megabytes that one resumable upload (tus) may have."`
	Wait         time.Duration `default:"24h" help:"How long a resumable upload waits for its next part."`
	Quota        int           `default:"10240" help:"Megabytes of all files together; 0: no limit but the disk."`
	Entries      int           `default:"200000" help:"Files and folders together; 0: no limit."`

	ArchiveEntries int `default:"10000" help:"Entries of an archive that is unpacked."`
	ArchiveSize    int `default:"1024" help:"Megabytes that an archive may unpack to."`
	ArchiveRatio   int `default:"100" help:"Times its own size that an archive may unpack to, beyond 10 MB."`
	ArchiveDepth   int `default:"32" help:"Folders in each other that an archive may have."`
	ArchiveDisk    int `default:"50" help:"Percent of the free disk that an archive may unpack to."`
}

const megabyte = 1 << 20

// check returns every mistake, joined.
func (c *filesConfig) check() error {
	var errs []error
	atLeast := func(key string, v, least int) {
		if v < least {
			errs = append(errs, fmt.Errorf("files.%s: must be at least %d, is %d", key, least, v))
		}
	}
	atLeast("max-upload", c.MaxUpload, 1)
	atLeast("max-resumable", c.MaxResumable, 1)
	atLeast("wait (minutes)", int(c.Wait.Minutes()), 1)
	atLeast("quota", c.Quota, 0)
	atLeast("entries", c.Entries, 0)
	atLeast("archive-entries", c.ArchiveEntries, 1)
	atLeast("archive-size", c.ArchiveSize, 1)
	atLeast("archive-ratio", c.ArchiveRatio, 1)
	atLeast("archive-depth", c.ArchiveDepth, 1)
	if c.ArchiveDisk < 1 || c.ArchiveDisk > 100 {
		errs = append(errs, fmt.Errorf("files.archive-disk: must be from 1 to 100, is %d", c.ArchiveDisk))
	}
	return errors.Join(errs...)
}

// filesRoot returns the folder of the files.
func filesRoot(cfg *config) string {
	if cfg.Files.Root != "" {
		return cfg.Files.Root
	}
	return filepath.Join(cfg.Data, "files")
}

// newFiles opens the folder of the files. Without it all else is served, and /ready says why the files are not.
func (in *instance) newFiles() *files.Service {
	c := &in.cfg.Files
	service := files.Config{MaxUpload: int64(c.MaxUpload) * megabyte, MaxResumable: int64(c.MaxResumable) * megabyte}
	v, err := vault.Open(filesRoot(in.cfg), vault.Options{
		MaxBytes: int64(c.Quota) * megabyte, MaxEntries: int64(c.Entries), UploadAge: c.Wait,
		Archive: vault.Limits{
			Entries: c.ArchiveEntries, Bytes: int64(c.ArchiveSize) * megabyte, Ratio: int64(c.ArchiveRatio),
			Depth: c.ArchiveDepth, DiskShare: int64(c.ArchiveDisk),
		},
	}, in.log)
	part := health.Component{Name: "files", State: health.Ready}
	if err != nil {
		in.log.Error("no files are served", "error", err)
		service.Absent = "the folder cannot be used; the log says why, and: brenda doctor"
		if errors.Is(err, vault.ErrInUse) {
			service.Absent = "another Brenda uses the folder; set files.root to another one"
		}
		part.State, part.Detail = health.Failed, service.Absent
	} else {
		in.closers = append(in.closers, v.Close)
	}
	in.told = append(in.told, func(context.Context) []health.Component { return []health.Component{part} })
	return files.New(v, service)
}

func checkFiles(cfg *config) finding {
	root := filesRoot(cfg)
	f := finding{Name: "files", State: fine, Says: root}
	v, err := vault.Open(root, vault.Options{}, slog.New(slog.DiscardHandler))
	switch {
	case errors.Is(err, vault.ErrInUse):
		f.Says += ", in use by a running server"
	case err != nil:
		f.State, f.Says, f.Mend = missing, err.Error(), "set BRENDA_FILES_ROOT to a folder of yours"
	default:
		bytes, entries := v.Usage()
		f.Says += fmt.Sprintf(", %.1f MB in %d files and folders", float64(bytes)/1e6, entries)
		if err := v.Close(); err != nil {
			f.State, f.Says = warning, err.Error()
		}
	}
	return f
}
