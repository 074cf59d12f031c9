package weights

// Progress hears how a Pull goes. Calls come from one goroutine at a time.
type Progress interface {
	// Start opens a task: the download of one model of total bytes; total is 0 when it is not known.
	Start(task string, total int64)
	// Advance reports n more bytes of the open task; n may be negative when a download had to begin again.
	Advance(n int64)
	// Note says something that a person may want to know, within a task or between two.
	Note(text string)
	// Done closes the open task, whether it went well or not.
	Done()
}

// Quiet is a Progress that says nothing.
type Quiet struct{}

// Start does nothing.
func (Quiet) Start(string, int64) {}

// Advance does nothing.
func (Quiet) Advance(int64) {}

// Note does nothing.
func (Quiet) Note(string) {}

// Done does nothing.
func (Quiet) Done() {}
