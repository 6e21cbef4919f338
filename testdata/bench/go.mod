module qianzhi/testdata/bench

go 1.26.0

require (
	github.com/moov-io/iso8583 v0.26.1
	go.yaml.in/yaml/v3 v3.0.6
	qianzhi v0.0.0-00010101000000-000000000000
)

require (
	github.com/yerden/go-util v1.1.4 // indirect
	golang.org/x/text v0.44.0 // indirect
)

replace qianzhi => ../..
