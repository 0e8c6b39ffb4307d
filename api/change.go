// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"math"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	pb "github.com/go-vde/sdk/api/switchv1"
)

func (s *service) SetPort(_ context.Context, r *pb.SetPortRequest) (*pb.SetPortResponse, error) {
	n, err := portNumber("port", r.Port)
	if err != nil {
		return nil, err
	}
	for set := false; !set; {
		// If anybody changes the port meanwhile, a console or a reload, all of this is
		// done again: the etag may be old by then, and the mask keeps other fields.
		if set, err = s.setPort(n, r); err != nil {
			return nil, err
		}
	}
	m, err := s.port(n)
	return &pb.SetPortResponse{Port: m}, err
}

// setPort sets port n as r says, unless it is changed meanwhile, and reports whether it has.
func (s *service) setPort(n int, r *pb.SetPortRequest) (set bool, err error) {
	old, err := s.sw.Port(n)
	if err != nil {
		return false, failure(err)
	}
	now := EncodePortConfig(old)
	if tag := r.GetEtag(); tag != "" && tag != etag(now) {
		return false, connect.Errorf(connect.CodeAborted, "port %d has been configured by somebody else meanwhile: read it again, then set it", n)
	}
	merged, err := merge(now, r.GetConfig(), r.GetUpdateMask())
	if err != nil {
		return false, err
	}
	config, err := DecodePortConfig(merged)
	if err != nil {
		return false, invalid("config of port %d: %v", n, err)
	}
	set, err = s.sw.CompareAndSetPort(n, old, config)
	return set, failure(err)
}

// merge returns new where mask, if there is one, does not say to keep the fields of old.
func merge(old, new *pb.PortConfig, mask *fieldmaskpb.FieldMask) (*pb.PortConfig, error) {
	if new == nil {
		return nil, invalid("config is missing: give the fields to set")
	}
	if mask == nil {
		return new, nil
	}
	to, from := old.ProtoReflect(), new.ProtoReflect()
	for _, path := range mask.GetPaths() {
		field := from.Descriptor().Fields().ByName(protoreflect.Name(path))
		switch {
		case field == nil:
			return nil, invalid("update_mask: there is no field %q in a PortConfig", path)
		case from.Has(field):
			to.Set(field, from.Get(field))
		default:
			to.Clear(field)
		}
	}
	return old, nil
}

func (s *service) ResetPort(_ context.Context, r *pb.ResetPortRequest) (*pb.ResetPortResponse, error) {
	n, err := portNumber("port", r.Port)
	if err != nil {
		return nil, err
	}
	if err := s.sw.ResetPort(n); err != nil {
		return nil, failure(err)
	}
	m, err := s.port(n)
	return &pb.ResetPortResponse{Port: m}, err
}

func (s *service) SetDefaultPort(_ context.Context, r *pb.SetDefaultPortRequest) (*pb.SetDefaultPortResponse, error) {
	s.defaultPort.Lock()
	defer s.defaultPort.Unlock()
	merged, err := merge(EncodePortConfig(s.sw.Config().DefaultPort), r.GetConfig(), r.GetUpdateMask())
	if err != nil {
		return nil, err
	}
	config, err := DecodePortConfig(merged)
	if err != nil {
		return nil, invalid("config: %v", err)
	}
	if err := s.sw.SetDefaultPort(config); err != nil {
		return nil, failure(err)
	}
	return &pb.SetDefaultPortResponse{Config: EncodePortConfig(s.sw.Config().DefaultPort)}, nil
}

func (s *service) SetHub(_ context.Context, r *pb.SetHubRequest) (*pb.SetHubResponse, error) {
	if r.Hub == nil {
		return nil, invalid("hub is missing: give true or false")
	}
	s.sw.SetHub(r.GetHub())
	return &pb.SetHubResponse{}, nil
}

func (s *service) SetNumPorts(_ context.Context, r *pb.SetNumPortsRequest) (*pb.SetNumPortsResponse, error) {
	if err := s.sw.SetNumPorts(int(min(r.GetNumPorts(), math.MaxInt32))); err != nil {
		return nil, failure(err)
	}
	return &pb.SetNumPortsResponse{}, nil
}

func (s *service) SetAgeingTime(_ context.Context, r *pb.SetAgeingTimeRequest) (*pb.SetAgeingTimeResponse, error) {
	d, err := decodeDuration(r.GetAgeingTime())
	if err != nil || d == 0 {
		return nil, invalid("ageing_time: give a time such as \"100s\", or a negative one to keep entries for ever")
	}
	if err := s.sw.SetAgeingTime(d); err != nil {
		return nil, failure(err)
	}
	return &pb.SetAgeingTimeResponse{}, nil
}

func (s *service) FlushFDB(context.Context, *pb.FlushFDBRequest) (*pb.FlushFDBResponse, error) {
	s.sw.FlushFDB()
	return &pb.FlushFDBResponse{}, nil
}

func (s *service) Mirror(_ context.Context, r *pb.MirrorRequest) (*pb.MirrorResponse, error) {
	src, dst, err := mirrorPorts(r.Src, r.Dst)
	if err != nil {
		return nil, err
	}
	return &pb.MirrorResponse{}, failure(s.sw.Mirror(src, dst))
}

func (s *service) Unmirror(_ context.Context, r *pb.UnmirrorRequest) (*pb.UnmirrorResponse, error) {
	src, dst, err := mirrorPorts(r.Src, r.Dst)
	if err != nil {
		return nil, err
	}
	for _, m := range s.sw.Mirrors() {
		if m.Src == src && m.Dst == dst {
			return &pb.UnmirrorResponse{}, failure(s.sw.Unmirror(src, dst))
		}
	}
	return nil, connect.Errorf(connect.CodeNotFound, "port %d is not mirrored to port %d", src, dst)
}

// mirrorPorts returns the ports of a mirror.
func mirrorPorts(src, dst *uint32) (from, to int, err error) {
	if from, err = portNumber("src", src); err != nil {
		return 0, 0, err
	}
	if to, err = portNumber("dst", dst); err != nil {
		return 0, 0, err
	}
	if from == to {
		return 0, 0, invalid("src and dst are both %d: a port cannot be mirrored to itself", from)
	}
	return from, to, nil
}

func (s *service) Disconnect(_ context.Context, r *pb.DisconnectRequest) (*pb.DisconnectResponse, error) {
	n, err := portNumber("port", r.Port)
	if err != nil {
		return nil, err
	}
	return &pb.DisconnectResponse{}, failure(s.sw.Disconnect(n, r.GetEndpoint()))
}

func (s *service) Reload(ctx context.Context, _ *pb.ReloadRequest) (*pb.ReloadResponse, error) {
	if s.options.Reload == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, "the switch was not started with a configuration file, so there is nothing to reload")
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	changes, err := s.options.Reload(ctx)
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, text(err.Error())).WithCause(err)
	}
	answer := &pb.ReloadResponse{}
	for _, c := range changes {
		answer.Changes = append(answer.Changes, text(c))
	}
	return answer, nil
}
