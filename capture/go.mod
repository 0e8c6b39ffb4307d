module github.com/go-vde/sdk/capture

go 1.26.3

require (
	github.com/go-vde/sdk v0.1.0
	github.com/gopacket/gopacket v1.7.7
	go.uber.org/goleak v1.3.0
)

require (
	golang.org/x/net v0.55.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
