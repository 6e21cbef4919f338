//go:build odbc

package sql

import _ "github.com/alexbrainman/odbc" // the driver registers itself as odbc; needs unixODBC
