// Command example looks up a group and explains the error if the call fails.
//
// Usage: go run . ADDRESS GROUP_ID
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	iaifacadev1 "example.com/iai-facade/iaifacade/v1"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go run . ADDRESS GROUP_ID")
		os.Exit(64)
	}
	if err := show(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
}

func show(address, groupID string) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()

	// Without a deadline, a call may take up to the --max-call-time of the service.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	client := iaifacadev1.NewFaceRecognitionServiceClient(connection)
	group, err := client.GetGroupInfo(ctx, &iaifacadev1.GetGroupInfoRequest{GroupId: groupID})
	if err != nil {
		return err
	}
	created := group.GetCreationTimestamp().AsTime().Format(time.RFC3339)
	fmt.Printf("%s (%s), created %s\n", group.GetGroupName(), group.GetTag(), created)
	return nil
}

// explain formats the status, reason and retry delay of an error.
func explain(err error) string {
	failed := status.Convert(err)
	text := fmt.Sprintf("%s: %s", failed.Code(), failed.Message())
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			text += fmt.Sprintf("\nreason: %s/%s", detail.GetDomain(), detail.GetReason())
		case *errdetails.RetryInfo:
			text += fmt.Sprintf("\ntry again in %s", detail.GetRetryDelay().AsDuration())
		}
	}
	return text
}
