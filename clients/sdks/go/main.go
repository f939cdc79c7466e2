// Calls both operations by the typed SDK for Go at each endpoint, by GET and POST.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	iai "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/iai/v20200303"
)

type result struct {
	Endpoint string     `json:"endpoint"`
	Method   string     `json:"method"`
	Name     string     `json:"name"`
	Pages    [][]string `json:"pages"`
	Unknown  string     `json:"unknown"`
	WrongKey string     `json:"wrong_key"`
}

func main() {
	for _, endpoint := range os.Args[1:] {
		for _, method := range []string{"GET", "POST"} {
			client := connect(endpoint, method, "emulator-secret")
			name, err := groupName(client, "known")
			check(err)
			_, unknown := groupName(client, "unknown")
			_, wrongKey := groupName(connect(endpoint, method, "wrong"), "known")
			check(json.NewEncoder(os.Stdout).Encode(result{
				endpoint, method, name, pages(client, "alice"), code(unknown), code(wrongKey),
			}))
		}
	}
}

func connect(endpoint, method, secretKey string) *iai.Client {
	scheme, host, _ := strings.Cut(endpoint, "://")
	settings := profile.NewClientProfile()
	settings.HttpProfile.Scheme = scheme
	settings.HttpProfile.Endpoint = host
	settings.HttpProfile.ReqMethod = method
	client, err := iai.NewClient(common.NewCredential("AKIDEMULATOR", secretKey), "", settings)
	check(err)
	return client
}

func groupName(client *iai.Client, id string) (string, error) {
	request := iai.NewGetGroupInfoRequest()
	request.GroupId = &id
	response, err := client.GetGroupInfo(request)
	if err != nil {
		return "", err
	}
	return *response.Response.GroupName, nil
}

func pages(client *iai.Client, id string) (pages [][]string) {
	const limit = 10
	for offset, total := uint64(0), uint64(1); offset < total; offset += limit {
		request := iai.NewGetPersonGroupInfoRequest()
		request.PersonId = &id
		request.Offset = common.Uint64Ptr(offset)
		request.Limit = common.Uint64Ptr(limit)
		response, err := client.GetPersonGroupInfo(request)
		check(err)
		var page []string
		for _, group := range response.Response.PersonGroupInfos {
			page = append(page, *group.GroupId)
		}
		pages = append(pages, page)
		total = *response.Response.GroupNum
	}
	return pages
}

func code(err error) string {
	if sdkError := new(sdkerrors.TencentCloudSDKError); errors.As(err, &sdkError) {
		return sdkError.Code
	}
	return ""
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
