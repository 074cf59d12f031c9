package vault

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"brenda/pipeline/fault"
)

// Upload is a file that arrives in several parts, over days and restarts if need be.
type Upload struct {
	ID        string
	Path      Path
	Length    int64 // bytes that it will have
	Offset    int64 // bytes that are there
	Overwrite bool
	Note      string    // whatever the client wants to see again
	Expires   time.Time // when it is given up, unless something arrives until then
}

// Complete tells whether all of it is there, and in its place.
func (u Upload) Complete() bool { return u.Offset == u.Length }

// uploadRecord is an Upload on the disk, beside the data. Once the data is in its place, the record is left alone until it
// expires, so that a client that missed the last answer learns that it is done.
type uploadRecord struct {
	Path      string `json:"path"`
	Length    int64  `json:"length"`
	Overwrite bool   `json:"overwrite"`
	Note      string `json:"note"`
}

const recordSuffix = ".json"

// NewUpload begins an upload. It is fault.Conflict at once when there is a file at p and overwrite is not set, and full
// when the quota has no room for length bytes.
func (v *Vault) NewUpload(ctx context.Context, p Path, length int64, overwrite bool, note string) (Upload, error) {
	end, err := v.begin()
	if err != nil {
		return Upload{}, err
	}
	defer end()
	if p.IsRoot() {
		return Upload{}, errRoot()
	}
	if _, err := v.vacant(p, overwrite); err != nil {
		return Upload{}, err
	}
	if err := v.room(tally{bytes: length, entries: 1}); err != nil {
		return Upload{}, err
	}
	v.used.release(tally{bytes: length, entries: 1}) // it is taken as it comes: an abandoned upload holds nobody back
	if err := v.fewUploads(); err != nil {
		return Upload{}, err
	}
	id := strings.ToLower(token())
	rec, err := json.Marshal(uploadRecord{p.String(), length, overwrite, note})
	if err == nil {
		err = v.partial.write(id, nil)
	}
	if err == nil {
		err = v.partial.write(id+recordSuffix, rec)
	}
	if err == nil {
		err = v.partial.sync()
	}
	if err != nil {
		v.drop(id)
		return Upload{}, common(err, p)
	}
	if length == 0 {
		defer v.drop(id) // nobody asks for it again
		return v.Append(ctx, id, 0, strings.NewReader(""), nil)
	}
	return v.look(id)
}

func (v *Vault) fewUploads() error {
	n := 0
	err := v.partial.each(func(e entry) error {
		if strings.HasSuffix(e.name, recordSuffix) {
			n++
		}
		return nil
	})
	if err == nil && n >= v.opt.MaxUploads {
		err = fault.New(fault.Unavailable, "overloaded", "too many uploads are under way")
	}
	return err
}

// write makes a small file that lasts.
func (d dir) write(name string, data []byte) error {
	f, err := d.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, retry(f.Sync), f.Close())
}

// look reads what is known of an upload.
func (v *Vault) look(id string) (Upload, error) {
	missing := fault.New(fault.NotFound, "unknown_upload", "there is no such upload, or it expired")
	if !validID(id) {
		return Upload{}, missing
	}
	f, e, err := v.partial.open(id + recordSuffix)
	if err != nil {
		return Upload{}, missing
	}
	defer f.Close()
	var rec uploadRecord
	if err := json.NewDecoder(f).Decode(&rec); err != nil {
		return Upload{}, missing
	}
	p, err := Parse(rec.Path)
	if err != nil {
		return Upload{}, missing
	}
	u := Upload{ID: id, Path: p, Length: rec.Length, Offset: rec.Length, Overwrite: rec.Overwrite, Note: rec.Note}
	data, err := v.partial.stat(id)
	if err == nil {
		u.Offset, e.mtime = data.size, data.mtime
	}
	u.Expires = e.mtime.Add(v.opt.UploadAge)
	return u, nil
}

// validID tells whether an id can be one of [token].
func validID(id string) bool {
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(id) >= 20 && len(id) <= 40
}

// Upload returns the state of an upload. One that is being appended to is interrupted first, since its client seems to
// have lost the connection. An upload whose last part arrived, but which could not be put in its place, is put there now.
func (v *Vault) Upload(ctx context.Context, id string) (Upload, error) {
	return v.Append(ctx, id, -1, strings.NewReader(""), nil)
}

// Append adds what body has to an upload. offset is where the client thinks that it is; another place is
// fault.Conflict, −1 means wherever it is. What arrived of a body that breaks off is kept. stop, which may be nil, must
// end body's reading; it is called when another client appends to the same upload.
func (v *Vault) Append(ctx context.Context, id string, offset int64, body io.Reader, stop func()) (Upload, error) {
	end, err := v.begin()
	if err != nil {
		return Upload{}, err
	}
	defer end()
	release, err := v.busy.take(ctx, id, stop)
	if err != nil {
		return Upload{}, err
	}
	defer release()
	u, err := v.look(id)
	if err != nil {
		return u, err
	}
	if offset >= 0 && offset != u.Offset {
		return u, fault.New(fault.Conflict, "wrong_offset", "the upload is at %d, not at %d", u.Offset, offset)
	}
	if offset >= 0 && !u.Complete() {
		var n int64
		n, err = v.append(id, u.Length-u.Offset, body)
		u.Offset += n
		u.Expires = time.Now().Add(v.opt.UploadAge)
		if err != nil {
			return u, err
		}
	}
	if !u.Complete() {
		return u, nil
	}
	return u, v.complete(ctx, u)
}

// append writes at most most bytes of body, and returns how many.
func (v *Vault) append(id string, most int64, body io.Reader) (sum int64, err error) {
	fd, err := v.partial.openat(id, unix.O_WRONLY|unix.O_APPEND, 0)
	if err != nil {
		return 0, reading(err, Path{id})
	}
	f := os.NewFile(uintptr(fd), id)
	defer func() {
		err = errors.Join(err, common(errors.Join(retry(f.Sync), f.Close()), Path{}))
	}()
	buf := make([]byte, copyBuffer)
	for {
		n, errRead := body.Read(buf)
		if sum+int64(n) > most {
			return sum, fault.New(fault.TooLarge, "too_large", "the upload would be longer than its Upload-Length")
		}
		t := tally{bytes: int64(n)}
		if err := v.room(t); err != nil {
			return sum, err
		}
		wrote, err := f.Write(buf[:n])
		sum += int64(wrote)
		v.used.settle(tally{bytes: int64(wrote)})
		v.used.release(tally{bytes: int64(n - wrote)})
		switch {
		case err != nil:
			return sum, common(err, Path{})
		case errors.Is(errRead, io.EOF):
			return sum, nil
		case errRead != nil:
			return sum, errRead
		}
	}
}

// DropUpload gives an upload up.
func (v *Vault) DropUpload(ctx context.Context, id string) error {
	end, err := v.begin()
	if err != nil {
		return err
	}
	defer end()
	release, err := v.busy.take(ctx, id, nil)
	if err != nil {
		return err
	}
	defer release()
	if _, err := v.look(id); err != nil {
		return err
	}
	v.drop(id)
	return nil
}
