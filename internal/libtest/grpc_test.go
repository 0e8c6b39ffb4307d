// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
)

// An echoServer answers each message with its payload.
type echoServer struct {
	grpc_testing.UnimplementedTestServiceServer
}

func (echoServer) UnaryCall(_ context.Context, r *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return &grpc_testing.SimpleResponse{Payload: r.Payload}, nil
}

func (echoServer) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: r.Payload})
		}
		if err != nil {
			return err
		}
	}
}

// TestGRPC makes unary calls and a stream in both directions over TLS, from one host to
// another.
func TestGRPC(t *testing.T) {
	first, second := hosts(t)
	serverTLS, clientTLS := tlsConfigs(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(serverTLS)))
	grpc_testing.RegisterTestServiceServer(server, echoServer{})
	served := make(chan error, 1)
	l := listen(t, first, ":50051")
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(first4.String(), "50051"),
		grpc.WithTransportCredentials(credentials.NewTLS(clientTLS)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return second.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_testing.NewTestServiceClient(conn)

	body, _ := io.ReadAll(payload(1, 1<<20))
	answer, err := client.UnaryCall(bound(t), &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: body}})
	if err != nil || !bytes.Equal(answer.Payload.Body, body) {
		t.Fatalf("unary call: %d bytes, %v", len(answer.GetPayload().GetBody()), err)
	}

	const messages = 200
	stream, err := client.FullDuplexCall(bound(t))
	if err != nil {
		t.Fatal(err)
	}
	message := func(i int) []byte { return body[i*4096 : (i+1)*4096] }
	sent := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := stream.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: message(i)}}); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	for i := range messages {
		r, err := stream.Recv()
		if err != nil || !bytes.Equal(r.Payload.Body, message(i)) {
			t.Fatalf("message %d of the stream: %d bytes, %v", i, len(r.GetPayload().GetBody()), err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("the stream ended with %v", err)
	}
}
