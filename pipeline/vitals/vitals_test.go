package vitals

import "testing"

func TestBrendas(t *testing.T) {
	for _, c := range []struct {
		name, image string
		label       string
		want        bool
	}{
		{"/brenda", "x", "", true},
		{"/my-BRENDA-1", "x", "", true},
		{"/x", "registry/Brenda:2", "", true},
		{"/x", "y", "brenda", true},
		{"/x", "y", "Brenda", true},
		{"/x", "y", "brenda.role", false},
		{"/x", "y", "role", false},
		{"/brend", "a", "", false}, // not across the two
		{"", "", "", false},
	} {
		if got := Brendas(c.name, c.image, map[string]string{c.label: "brenda"}); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
