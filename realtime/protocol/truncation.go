package protocol

import "encoding/json"

// Cut says how a conversation that is too long for its model is made to fit.
type Cut struct {
	Off    bool    // not at all: the response fails
	Retain float64 // the share of the room that is filled when something must be dropped, above 0 up to 1
	Limit  int     // tokens of the conversation without its instructions; 0 for as many as the model takes
}

// Cut returns the rule that the session's truncation stands for.
func (s Session) Cut() Cut {
	c := Cut{Retain: 1}
	var mode string
	if json.Unmarshal(s.Truncation, &mode) == nil {
		c.Off = mode == "disabled"
		return c
	}
	var rule struct {
		Ratio  float64 `json:"retention_ratio"`
		Limits struct {
			PostInstructions float64 `json:"post_instructions"`
		} `json:"token_limits"`
	}
	if json.Unmarshal(s.Truncation, &rule) != nil {
		return c
	}
	const least = 0.05 // a share of nothing would forget even the question
	c.Retain = max(rule.Ratio, least)
	c.Limit = int(max(rule.Limits.PostInstructions, 0))
	return c
}
