package settings

// A Skip is a setting that was left out, and why.
type Skip struct {
	Path   string `json:"path"` // as it stands in the document
	Reason string `json:"reason"`
}
