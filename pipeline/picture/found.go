package picture

import "image"

// Page is the text that was read in a picture.
type Page struct {
	Text       string  // in reading order: a line break after each line, an empty line between blocks
	Confidence float64 // mean of the words', weighted by their letters; 0…1
	Words      []Word  // in the same order
}

// Word is one word of a [Page].
type Word struct {
	Text       string
	Confidence float64         // 0…1
	Box        image.Rectangle // in pixels of the upright picture
}

// Score is how well a label fits a picture.
type Score struct {
	Label     string
	Supported bool    // the model can judge this label at all; without it Score means nothing
	Score     float64 // 0…1; the supported ones of one answer sum to 1
}
