package spec

import (
	"errors"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/protocol/fml"
)

// tables puts the field tables that stand in files of their own into a link
// file's document. A name is relative to the file it stands in. Errors name the
// table's file and line.
func tables(n *yaml.Node, name string, open func(string) ([]byte, error)) error {
	link := lookup(n, "fml")
	if link == nil {
		return nil
	}
	for _, side := range []string{"request", "reply"} {
		one := lookup(link, side)
		if one == nil {
			continue
		}
		at := lookup(one, "table_file")
		if at == nil {
			continue
		}
		if err := table(one, at, name, open); err != nil {
			return conf.InFile(name, &conf.Located{Line: at.Line, Key: "fml." + side + ".table_file", Err: err})
		}
	}
	return nil
}

func table(side, at *yaml.Node, name string, open func(string) ([]byte, error)) error {
	switch {
	case at.Kind != yaml.ScalarNode || at.Value == "":
		return errors.New("want the name of a file")
	case lookup(side, "table") != nil:
		return errors.New("want table or table_file, not both")
	}
	file := at.Value
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(name), file)
	}
	b, err := open(file)
	if err != nil {
		return err
	}
	if _, err := fml.ParseTable(string(b)); err != nil {
		return conf.InFile(file, err)
	}
	for i := 0; i+1 < len(side.Content); i += 2 {
		if side.Content[i].Value == "table_file" {
			side.Content[i].Value = "table"
		}
	}
	at.Value, at.Tag, at.Style = string(b), "!!str", yaml.LiteralStyle
	return nil
}
