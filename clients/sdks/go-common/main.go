// Calls both operations by the generic client of the SDK for Go at each endpoint, by POST: by GET, it sends
// no parameters.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	sdkhttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

type result struct {
	Endpoint string     `json:"endpoint"`
	Method   string     `json:"method"`
	Name     string     `json:"name"`
	Pages    [][]string `json:"pages"`
	Unknown  string     `json:"unknown"`
	WrongKey string     `json:"wrong_key"`
}

type response struct {
	Response struct {
		GroupName        string
		GroupNum         int
		PersonGroupInfos []struct{ GroupId string }
	}
}

func main() {
	for _, endpoint := range os.Args[1:] {
		client := connect(endpoint, "emulator-secret")
		known, err := groupInfo(client, "known")
		check(err)
		_, unknown := groupInfo(client, "unknown")
		_, wrongKey := groupInfo(connect(endpoint, "wrong"), "known")
		check(json.NewEncoder(os.Stdout).Encode(result{
			endpoint, "POST", known.Response.GroupName, pages(client, "alice"), code(unknown), code(wrongKey),
		}))
	}
}

func connect(endpoint, secretKey string) *common.Client {
	scheme, host, _ := strings.Cut(endpoint, "://")
	settings := profile.NewClientProfile()
	settings.HttpProfile.Scheme = scheme
	settings.HttpProfile.Endpoint = host
	return common.NewCommonClient(common.NewCredential("AKIDEMULATOR", secretKey), "", settings)
}

func call(client *common.Client, action string, parameters map[string]any) (parsed response, err error) {
	request := sdkhttp.NewCommonRequest("iai", "2020-03-03", action)
	check(request.SetActionParameters(parameters))
	received := sdkhttp.NewCommonResponse()
	if err := client.Send(request, received); err != nil {
		return parsed, err
	}
	return parsed, json.Unmarshal(received.GetBody(), &parsed)
}

func groupInfo(client *common.Client, id string) (response, error) {
	return call(client, "GetGroupInfo", map[string]any{"GroupId": id})
}

func pages(client *common.Client, id string) (pages [][]string) {
	const limit = 10
	for offset, total := 0, 1; offset < total; offset += limit {
		parameters := map[string]any{"PersonId": id, "Offset": offset, "Limit": limit}
		received, err := call(client, "GetPersonGroupInfo", parameters)
		check(err)
		var page []string
		for _, group := range received.Response.PersonGroupInfos {
			page = append(page, group.GroupId)
		}
		pages = append(pages, page)
		total = received.Response.GroupNum
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
