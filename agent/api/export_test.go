package api

// Routes are the operations, as "METHOD /path".
func Routes() (all []string) {
	for _, r := range table() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}
