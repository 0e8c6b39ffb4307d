module github.com/go-vde/sdk/api

go 1.26.3

require (
	connectrpc.com/connect/v2 v2.0.2
	github.com/go-vde/sdk v0.1.0
	go.uber.org/goleak v1.3.0
	google.golang.org/protobuf v1.36.12
)

require golang.org/x/sys v0.49.0
