/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Made by jwt_samples.py: tokens, and what is to be said of them.
 */
#ifndef RINGPOST_TESTS_JWT_SAMPLES_H
#define RINGPOST_TESTS_JWT_SAMPLES_H

enum { JWT_NOW = 2000000000 };

static const char jwt_keys[] =
    "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"sEJTCM6IbdwoeKt2rrgDGHCI9WV6QsItxP5_Gjd1KZQwaV6YL"
    "kq_dhuLkWaZbWxOGj_9cyxO9uw5-PIQUAGdviKq-UaZ4aZWEyDBZdehKxcVNt1VnjU2Bo88s-XT86dsl"
    "rJYDSPfRwCU1eXojtrCORKRbznMZLxlVfvXwymIRcmHIqCgK6uLrQ6jU2q5n_eKXHLo_jVFL1f2gf1pi"
    "5HiUYNFD8UkkeRPfzsCKhNQKhR7c2aTzKBl5niStgCtZOTi0wuTPq9kCTjLpySrNvS9UwAQUV7D-UzWR"
    "zzKDXJOly6wCXPO8KTIugi9XyX8jMdcC9nwreTCYPGP-wI3cNobFQ\", \"e\": \"AQAB\", \"kid\": "
    "\"rsa\", \"use\": \"sig\", \"alg\": \"RS256\"}, {\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
    "\"a2MLLfwCatIUN2MNELN7lcB_C3w2vzok4tgVRTreKUI\", \"y\": "
    "\"tIK4olaXOobLtDLAujFsOLOIdcRwnfgofLecNKf5rKQ\", \"kid\": \"ec\"}, {\"kty\": \"OKP\", "
    "\"crv\": \"Ed25519\", \"x\": \"fArh6gEntybHEY0TLDvjzgIEf6MRAvcy4qGUps49EDg\", \"kid\": "
    "\"ed\", \"alg\": \"EdDSA\"}, {\"kty\": \"oct\", \"k\": \"c2VjcmV0\", \"kid\": \"secret\"}]}";

/* The right key behind another of its kind: without "kid" there is a choice. */
static const char jwt_two_keys[] =
    "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"ul6rc1fV9nyR5Usd8e9vrZ3n8afxnZwed8lAYxfWLft0gE4rR"
    "jaLOsmhB8kcm8hZ7zOsuxsXhH-rUQVMAIJUTeRLM9RqVAb8qOeejdzUOkJVefoRUVy03aA7xkVFnW8FS"
    "9f8hCGImMPPamO6p1MPwwUt5fb2GfqZrSv2tlcD6RI8ZUnX0a3udjbMueA5XEyQTkAkQby0AUrAXLy4s"
    "qWPgTNZQygXX3agPcugf9W7hrj_9kY1od7wwZISJlhoKcIRsc9ZDHS1H6E8cJccrwwZ9gB3Zjhm0mndh"
    "lhOtLz0fqhnmVSbimAiZgmQ3oAp8v0m4eUFU6TzTHDwNyWlTuj-EQ\", \"e\": \"AQAB\", \"kid\": "
    "\"old\"}, {\"kty\": \"RSA\", \"n\": \"sEJTCM6IbdwoeKt2rrgDGHCI9WV6QsItxP5_Gjd1KZQwaV6YLkq"
    "_dhuLkWaZbWxOGj_9cyxO9uw5-PIQUAGdviKq-UaZ4aZWEyDBZdehKxcVNt1VnjU2Bo88s-XT86dslrJ"
    "YDSPfRwCU1eXojtrCORKRbznMZLxlVfvXwymIRcmHIqCgK6uLrQ6jU2q5n_eKXHLo_jVFL1f2gf1pi5H"
    "iUYNFD8UkkeRPfzsCKhNQKhR7c2aTzKBl5niStgCtZOTi0wuTPq9kCTjLpySrNvS9UwAQUV7D-UzWRzz"
    "KDXJOly6wCXPO8KTIugi9XyX8jMdcC9nwreTCYPGP-wI3cNobFQ\", \"e\": \"AQAB\", \"kid\": "
    "\"rsa\"}]}";

static const struct {
    const char *name;
    int result;
    const char *token;
} jwt_samples[] = {
    {"RS256", 0,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.X_F"
     "R580dPWrTf-qmTVGuOgGwtn-L_9xGSGOykWUPgB_EITsGT1ZZPpdpoApgEbYwF54EcSLhNvWBkWOKKfr"
     "N28xn4GiAaSY59XxnPQp37j4n_FcLJ0lnFmJ3Is7Is0o5_K99gJqBdYfZmsIftJpQjdL2kg3bx_1H5Sd"
     "T0mq2YnSpX_-9NEhfkOnpyKsi_P5Zro6KbMCAMVsSUgj7TaIE-HfP8SdpFVVtA0jHAX_VuPro77izhEp"
     "XliYr92NhWO-hz4Eimy7kOKRztJtB-e11Wrp0WzBldaxxeR_YMfEonVwK8MSaOBcGZlRcCAaaGRTOUb5"
     "TfYadu8lpfpcexnfmCA"},
    {"RS256 without kid", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.If_PIh8PaW54NCGBR6EbG"
     "nmTkUtqBQqnkLh28efqo47WXQFeabWZhagZNnwHjfGIDgmHkUjOZf_g1jbfmE8QuxBSZXfCaXZmiW_FQ"
     "4B8xNWJ32YxgeGVfu6IsvVT_Azbx_te5cJ0BRnxZlngZuGcMlgbBI_pzKqoEeDS-V8qA5_irZRjhFOIh"
     "cV_fB8YEhfMYmp_MXBSr5vKFseBPz1UUigGR1nRhCUmV8kLHwBD3zT0Tcxp5hPL3oxsJpE2dIwxYkcy5"
     "uYnMj4TfCtDVODMKD38O5xGGihSq-WK2oiIhZ9lnSRL8xlT6ZOSnLcnzjd5O1TTujkK3gxjBE3X3TyOd"
     "g"},
    {"ES256", 0,
     "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImVjIn0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAi"
     "YXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.XQNE"
     "YUw6SqIbcGAAJUOgEU66Fjg_p-RnTCK-GNhGJnq6jfSG0JbwSEDUGvzqVyOk39edpXsVusCOhEVbvPLj"
     "ow"},
    {"EdDSA", 0,
     "eyJhbGciOiAiRWREU0EiLCAia2lkIjogImVkIiwgInR5cCI6ICJhdCtqd3QifQ.eyJpc3MiOiAiaHR0c"
     "HM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwI"
     "jogMjAwMDAwMzYwMH0.hJUP_edE1o6O8YJI79tpSy2-8V7uWyKxKSYMs5Dvhdd-cJkwFGUr7fxY-UbKE"
     "FTZ077LKIv8b_-V1TTyyb2WAQ"},
    {"audience in a list", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogWyJ4IiwgI"
     "m1haWwiXSwgImVtYWlsIjogImFubmFAeC50ZXN0IiwgImV4cCI6IDIwMDAwMDM2MDB9.V4g3qwXIGqiy"
     "HvxPDBzhNglLb_9btZxs_S9yqZPXhJ0nqThNVq2p_1F3Ma-MWDgJYHYAvM1SX_pWt6SpfxG5mZryZ8Z6"
     "O1vL9zHY-8KBQ2CvbkDZPI6VjT4tjBtkXWm3a-vwArqqWubnkxbu4jxEFB0YRcOyNjhMLURm2b_3eWJj"
     "ZfJf2Plz2Gng6TNrDAlzxFUNH_rf8xHQ3bnXVzMcyThZWZloMzdbYPehzfQIJS8wGC3H3xgtrT-xI9Jo"
     "h8muPM_1Ybw5xdGFZzA8bZaya5tSlfXnDbRad4b82auJqzUqH7bb-jDAE2hmX7cx9778XgTDdq47iZjR"
     "HHgDjyxu0A"},
    {"time not whole", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMDAwMC41LCAiaWF0IjogMTk5OTk5O"
     "Tk5MCwgIm5iZiI6IDE5OTk5OTk5OTkuNzV9.EMx0q7TOrPev40pZyffpQ7K6lXJXZ5rx5VV2rrM7EZz_"
     "k-LTISLFHMRla3f0gMdRrjBBPgGoreRIjurZVDOgnWolJsSJV55hMZ_FVjFxkCP7l5AxQcYVe9btAg2e"
     "lYrLdhKBCsT0w5vTbEFH3uvfwMdBIcgZ4G3M2Rt0WXb_foUqF6tiyzaszYf0hpv0cyZKAbhYqv3-Aqvd"
     "_TainEvIydcYWGJAwrjvX7fAFx6qlehn9xTw8IPylOzsbFg4Bl-RfXcAt8im8hol1Bvem6HWEnEYnuvB"
     "IHZ86KRypScINvucMKGi_8qWUDrN7pt2BEECKdu5huU-edo6QASJitlBOg"},
    {"over for less than the leeway", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMTk5OTk5OTk0MX0.H_zwBxL33c3mTU05Xco-d"
     "acVJLdcXsyScsTmITlFHD35oWWPjxgMaVI9EiqZLMxdx03SWbS3dSNY3oZ9Z81-VnbI9M4-_o5iWZ6wX"
     "Vtdxd7qZGIqyF3skWGEnUPVbWQNPuavEvH7RnUXH-xFTKvQRSK2hM2qfvu-f_Vc0p99Jwai4oHlVmxFq"
     "xC9c2ltaOcNsIJvqft7FmYAfKivIiTiS7KUfrKftw6q8VEc4xBSSvUvcnVoztxdXb3GNTMHOj-AGslGw"
     "DmKCNXW2I--crI4PJscclLLqWwiG29PdZMmpPOib9QUMKyHFgRarFDHafJdj3lUKGCWXY-Zj2EOT3azf"
     "g"},
    {"from the near future", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgIm5iZiI6IDIwMDAwMDAwN"
     "TksICJpYXQiOiAyMDAwMDAwMDU5fQ.TOvjhei4FIRUIZDczOy61VWax8Z9kwils4D8tSk_nHlmbWVK90"
     "LM8j1y1fgnbnjlRXD4lbD6VUw0PZjtjnkvmBIYh9X1-h-qRvqIcJuYbKVLDEa9-QJXNSU4HLVxxIkSDq"
     "8blvfVpnpfxmTKFiiqdRW_6Ow47krj6svXO3vcTjWl7Yv7iRz7N9mLdZI1AE7dqWqZw9ED5dqOlyTilM"
     "XHaGxw7KRZ4IlJKJJxh2NXPUj3Nfwzz4TWOyPmnoY6QtbzYOfbqZ9xEOI426y4gCDFbZUt-CTcYPUXQ2"
     "6GGgcpZELfxXSkri48QLE7pwPyQkwGrKLMz2CFLLVvnk5WIM0aOg"},
    {"over", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMTk5OTk5OTkzOX0.cM3NjKyka5whWLSX_l7LE"
     "BUvheRyt4Y7SSpN97rc6ib0C94zoQlFh7_4lzUzFegkJzVKZG3wtlrh89SCd2pd03P89PXs58JtDS65f"
     "MVnmlLKdT0OA8fPe4jpjMJCkM70GgyxQY95xvKf22bg4OoZtAAZFHFtQ-SATdr1IGSwLbi4CFpp5eEey"
     "Qqz4Saxai7t-6bUbcaiixGl-HvcDpgHkmcE7NdWgOxY9LBtquKeQigrrH1CBcRrDlCnZD3UlJr_DwMhY"
     "_WCaXdzYX9S9YalvW1xap35RtTsLN4fcnwaVqMV8M2LTUx2p3cxs9Rdh-kLAjfP1wCDW6jmUfbWoU9oU"
     "A"},
    {"no end", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QifQ.IhhjfWjxzAEWiQuzntxBVW16O3_DVXhdW2G8ybmKOoR8mH"
     "XVXvO936m-CO71YKyPSg9MpApPbtNgd87TbDCapxYLb7KiJ4MPQjzv7wUJoC5qFJx2aFsazAUuMaVEPh"
     "iZSAN9tw1tVnh2SA1If8DiLQVBA6wsgjZZpZFPLBRZ-zjmjXuOaNWfBeQIM8ZSpb2twgAO1ms9OGQiHv"
     "KVFPBR5OUq6X1Ts7G4o7e6EZfEMlfmkmr2ry0rlek8UYRrgLXsvHJ4eUv2fsDmHxbf3Q912UGaxlaF9i"
     "wfbOyALUawuYXSrYUHk893Ti4rLLEwsHq5kNOrQVY50TKqI6qbjgEIkQ"},
    {"end is text", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogIjIwMDAwMDM2MDAifQ.JHtRFTuYrbz7EsUz4t"
     "Fu6penV6D_Yz_i3yQMOg4iveuo_Sy6XHVNjgEQXxPYmZPgjbFHSM425MoGhMMtwpSAhI2zmjXvFv2t2y"
     "LHlvHOP5F91BtXEvlYjqJt6Bna-fbmAtlSiO54JE99c4-xndC86Hk3PAf3wlj3JV_DSLneBMa-kNh0jy"
     "3eUomyjIVQ3ITabD7F1AKZU7CS74mfRjakHDFqLfUSOCpHHLwvUOTWGlJNkOGHbyuRJvfxaA0oNbSaDY"
     "b-ZFztd9-G2MnsZ6flCvAPfNmCwgFUswbkPoqVI5_8uKBRwIp9AfZC6KNTHiS-BRisIwfI3mROWkr-8A"
     "bLvg"},
    {"end is null", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogW251bGxdfQ.Wk0_NVruN9vP2U5YMe2qd6l4mQ"
     "sujTzPvfDnLVd1OvPgOXArKu5X32KbKqVxZmnJ_vLV-a5YTUKXtv_HCPUwvKNbujzW0jQzRaB9BWcSMj"
     "BDR_hd3nAaZB-Tijzp-yuXCGJjAZ_CtiveOAQ2j8JRFJipGGd15XU_x7IwM1PGaQmN_JjQGZtCZnL7ov"
     "ryO2NnlJsh4Kivm34Uzn0CC3ya5GjWGXfm01BAmcU5AoIuz95JiwvcuA15l2nqq3FYiqpbgBavpT1vVu"
     "aci0Z2-tXDnvaK9rjWztc8FBccMimBIwY7CFFOKYpVSs-_Kl3kc2z7QjM3XKnevzok-UuoBvJGmQ"},
    {"not yet", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgIm5iZiI6IDIwMDAwMDAwN"
     "jF9.SfPR2lVPZfZznMvJGrH5rws2PduuWpNdYuMTqC6ynUpE-SuX0L3H0MQGc9HWSt3Cn1QSY8iqkN6E"
     "wTEfZcRMsaJONAwbulSvpviE8MvcaoQfhYPdD5GKtsu9_BMm01Pq1j__psbDyyy0kHBnD4wejyJAUY96"
     "rOjcaCNwWdmK2aATFGI-KVajNiRyPf8_iVhoAIqJLcKScX-AT5irsXSZXJvV5xiTTky8xbCBk_74l3Oh"
     "jtFvRtwm16GaEaOFjaN3ggMCtzhKVcP39mqk9XOUvMiJitkS7RcJYzUXSI2Ms7h7luEi9hyb_XOFLbyy"
     "sBVitxJM2ZGvhd9ex_mTsXifjQ"},
    {"issued in the future", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgImlhdCI6IDIwMDAwMDAwN"
     "jF9.O_0nnR1wlJoeWJ4uHeMJfIADsxXw4YCjZfWGm_E9kxpP_7UXlCMrH05ONSbV-nSGYb6Oe8PrdskO"
     "Hrt4f34kfPC-dG7zVQCTCdt4GuIiRXNc8cL1Wvf9UB7l10Bp4NrHhEKdkPXFhIg2H8NE677OPsHinGTE"
     "Vr13YNI1jkC5ydw1FmC8dXKf9EzXswuSnLUN0bKVPjA4CwL674PZMp-ooPdy7zfy4LZyWAcbd3BMOLD1"
     "hW2GBjiNFUQSQ_TvziuKiEvp4iC6PkFFgy3MQstw_AXVgleTlSuzTeftdi5ptB7OG4GWbC9opTcuS2x7"
     "QQqSZoNglE9qAxmZ_cI3gsHyGA"},
    {"another issuer", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC55LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.q7q8iMBIQmzxsPz9A1zXg"
     "U7OF0JXMAHGnXuoukK7oA5WSuqk6wkC1FXAOLdE70-r_P9M-il2q75e9770X7llOgCZlHIKZo4PyyMK2"
     "VMJXLmiJEF9DvgAfqhM96ss57QhZ_NGeHih-vwykLjam3lGmiUwM5VmRBblz-kcO3D9-AGGXQny4GhgY"
     "TdvqunydaKRoOz-bvHe0CoGpPW9zZNSC_Oa-MpUmQPGsiHY5AjTicTr9XkcXenWfZPBGe2iEpBz6exip"
     "FRQqHCKHIX9BXlzIC9qfXeTGsfJYJf-eQoaGCB59n7y5eLMsgj3YseamnxNFYWTt_aLbRvXsAOMLXGhh"
     "Q"},
    {"issuer with a slash more", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QvIiwgImF1ZCI6ICJtYWlsI"
     "iwgImVtYWlsIjogImFubmFAeC50ZXN0IiwgImV4cCI6IDIwMDAwMDM2MDB9.d-mgFRFYK5mpXF3_71fq"
     "h0IkkOY8JnO8nGcQAbmW3dD84uRYvcxq0OBdSAexcheEDKzqnXPRFhPsZBFS2ycs2u7NcLnB4EjA1Gfu"
     "wbu_Ng9lToz5RauZm1yIrj6IoIDbMUkRAui2MgZ8sn_J8AQJ-Pzu6d_3zCRDB8fjuRvYODkpQQLTx2bz"
     "CRu9NjjQ7yEQPeZ1NYxOKlTE6owlXPda_r6ZCCxvoQNt5DXym5HUXMsiw6NncP1DPc6IlOsErXLpLaiB"
     "3kvW0YP0bTWrd1-b8Xii0TClp176Pnz3kpzDJVpu6DgVfSug23rpoYCsCBk4Ech_GS2w-8S04-Hrl_oI"
     "xQ"},
    {"no issuer", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJhdWQiOiAibWFpbCIsICJlbWFpbCI6ICJhbm5hQHgudGVzdCIsICJle"
     "HAiOiAyMDAwMDAzNjAwfQ.aDA7NdSxdHQAMMXRtmgXcqXT6asfAvfH6ymwvw2bUxoN6Nt_6f7iYxLgha"
     "nEZqagX2M4KX-Sb7VsR3MdtApLCkBPrGN-yeTWbKDHhGtSSQSRC9UYU4JCQD_w0vfoM3EMMg9EazyDkH"
     "SXoWI2S_NFh-YSHUIoHO5wCe6Izcxt_bmrFsORRzfPEIYIKBvVmSJARYSRI90JFpXsFlkOLlvb_yOAOm"
     "pNSSIJdBMRctLLLZOaQHq6bc_49hZU8WWfAHSnshsPmsmP5U-MPfIuqwilOgH5BXvOoz7C9Ncl2zhOBR"
     "0FWUdSIBpWW2pj383xf1GplWZ9_qWhEvY1YeauwGYL_g"},
    {"another audience", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogInNob3AiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.gb8IKVdykkbuFMjZ9IJSM"
     "xGF_xopCE2MnZ3NRCp1lr-3-p0XcTlf1PrY641w0rKfVj8IJ9z-IS8INfmPg7IiNFOz8PxEtWkxRwwSw"
     "bRcKUv5I0rNeZGzaTceCwGai2WL_lMPVOTsz6r7jFrwSXJz0S8Fwb8HCtSsgLJT9OdU60B7-p7qKi9Lw"
     "a1BP0lbAM_uAChx4KPBbQmRKz8y71G2bTc7t13KmaaD4jfAe8-uMXib3kvHjoxRrmTUjKOGw1xHl9wS3"
     "mJGq6I_7xhD6BU7O1pd5CzAyujRQVzHt4WpNcO7-1igkQhiOgQhTU8qWwojygBmuT-_v9Z0buNgOvTwY"
     "w"},
    {"audiences of others", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogWyJzaG9wI"
     "iwgIm1haSIsICJtYWlsMiIsIDVdLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwM"
     "zYwMH0.hZqnaX9_vrGPPeOlgleZMof2FX-L3Zq95I0jFl2EXuVBVvbP36JAE-U9SlVeaC5P4ct4gaUdp"
     "nkzBTM79imBaMfnFAwHcAELDqU_iz1lXiQShC8vuknQ1DCgxA6RX3mrcfVf8GTY80Ev6KQLHyiUPHldQ"
     "lFHbhDdrYcicxOlbNHUr1Tj2sG1oOnDm3OKzxpYOdvK7J5g2mB_ZxaBGURAsm7NCLij5dQW_bkaXpCne"
     "TJgc5F7f91PV5f486Ursp50eaujMftaIPH515jS1Ddwa3pEi1PqWF4crOm-XTR-SSZ_hSJ1UGFiRN6E8"
     "Yf9mA3AqPn01Kn-dm9XYUfiJZ2__Q"},
    {"no audience", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiZW1haWwiOiAiYW5uY"
     "UB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.IWNkTCMvwCpmhlNwfrK5qSfb6yPZKrfIZK1WNUufW"
     "O-467l0GzasBNI1q5mZkbIky7wtmRmtZT_qcQ9umIkchrbCrhWNyQq2QNMDL-0axjnXR2tu86bZl2pCZ"
     "yOjzDp486gptr-mRHq1yEtReiTjiZyirEHvHImG_AE9_RuYtfJ224jpzwQM1TwjBGz6yXfu52Y8kwb8N"
     "kl-1Le-uK-iug7aCy9Htie-FDeUIhlolB4UjvGZIEG4eJf_pcbF05S9bjmBv09PRte0KnZe3_gOqv7_V"
     "QMifN7r964nj1kNiImGvCUeTX3Wn3tyrJkNAC6l3m-EnqD0Po1TBScTslEbDg"},
    {"no user", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZXhwIjogMjAwMDAwMzYwMH0.WgwPV0TzqiHcVv6c4kOKkHAcLfsxQW5OvOKHDLYlAG1fzDBWC4FrY"
     "hQ1Jh5UGhsyzKPusFswHPk80jAgcKXUwu8BNkNehIqhPObW3XxWLyAwgsNIEJRBoQKlkAZwnHc3howUa"
     "yA1T0zloTc2SxnXWNQcCe_2Celdtvt5TdbpnxUvyzNDElT0ezc-SRcG_i0H9pO3KfKv4Aa0KWqSax33k"
     "wwLbOdjIzGHTW5f5mUhSRaF1IBo5ZqAQtRzOCjQIwzdhic_0JjIg5Y6OHpNeHgAmKEBugTEeiN12zuMA"
     "apQevEhhtQUBsuQ9qOX_FC5hBIws3jyy89MBz6Ub9wV53VJug"},
    {"user is a number", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiA3LCAiZXhwIjogMjAwMDAwMzYwMH0.IYSDVDEutrkemxTJjZZXSZb6vZTo-8qz-_0Yn"
     "RMK3JNayZv9SYYnVVRdwtfqNK3VIrjxjSULxSPmSzfs1tbpLtY_qRjoXxO4nL3Roj3rcxyQb3FdbXQA4"
     "vYhiFo2GlPdSOaHnrSbpU1BXeaHhezwi2VbmaI7e1fRt-sSouD3Zjpd6BYuvW4il3vGt1pvI3zJrSfME"
     "EDiTzClPZS63JDGTXVEAKdGPdXLkviuroCNHVKj36c-NPZ2zFpiqzEgTTa_8cuQGSU9ol4gtd5cIRfRe"
     "uQco4HZqldxw8cEVmePrSMvUfKIGQmkD4NwQftUx68HhzkHCufAkuFjGJs4c9MAaA"},
    {"user is empty", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiIiwgImV4cCI6IDIwMDAwMDM2MDB9.D_MaKHmzju5qvV_CV2LflbE5ETSpW_SbGfGB"
     "qNHBicE30XstBeB3yIzPypmSWA1VzPszNdTmH6YcmUsLQxcV7W9IB1aI4YJPqYDVBRuvkVArtLjszTIc"
     "2BfN214GDGr6eeFzNoJ3Zad8XIbmBfE36zd07z6FR8Z6dv59tHtVSvZgBn3oWNwifFo4v7EN8xlBhDi-"
     "_DjO1NR4nBDfvS-iFxkb8ttH9EmGJHbUYQqMHbj0qLNBHbgeun0aUUAr_dDLjQo-_d1BeSc7KZQ5RAqd"
     "jGtP7HskJjgpzGYObJ9fimOYy-QGx3uFvfhBjSnb08Tz4Esgz86JGprpxWErkyfG1w"},
    {"user too long", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhIiwgImV4cCI6IDIwMDAwMDM2MDB9.h32MGJuM"
     "lWBrcqH1nkE7KuOaINYCgM2fKiFrzD--HQNrpJBFHH4A8lTgby6UrkxgqaSU8_ttje6Gq5dl3pD5Ye8r"
     "dn7a4iJHNMp9TXcVm_mv1Rn6jJ9cUGdUTs2z0OzswAaPh_GAA4otewfblwuCTpgqLEh_UXhocU8oUZV3"
     "yjAwu39IfSDdFUS1B6BM3A9QjdKj3etKmuaPwXSHZa_YI8mXQpsgnVChZFW4wqgCa-XkkDJ8ZZfeVcC-"
     "WQlErgulf5ZueEuoweksudI0xuHuTpepdVYbnPZhfmZQtqOOZB1U0vVKumjN9q2Vv7sh7mfU5QCXOZpF"
     "Fg8mFyEz_ID1nA"},
    {"user with NUL", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3RcdTAwMDAiLCAiZXhwIjogMjAwMDAwMzYwMH0.iZp68BxeNSrgq"
     "th2Bn-ileyKHTbo2Lau7PccHhidEz14oBmZ11THp26TyfMoP03oU7lqBWV9ama58VJMOsArumZeGZsEz"
     "J2u0tZCCq_P9Vr-cQRUaPhbgj62GLiisL_U1mPNS5HnyCPr-DnW63R1hzWbN2rPw_Fao5qMKufJmsmfS"
     "KB_ICMaabDX1Jb28mkNsHE46Ih1Isem79Of3QdT1WlOdeJE5snpsJ0iJPih6ffznWKQTXSVdEI5me9As"
     "WtAqlXIZydA7RIHPCbc-5pXFXruYJALXZupobnplZ3o2WUHa95d66IdgWRyFQzTd_xVWWp9cGvx5A8u9"
     "foF7PPxwQ"},
    {"address not verified", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgImVtYWlsX3ZlcmlmaWVkI"
     "jogZmFsc2V9.a2sRiGuX-Z4E1hPBwv4_M1AAUpPuYxtKl5h4eNiBKsS5gCHDsxMhSg0hjUb2Obm1fKSy"
     "WIFNGjs6-l2_fy4wA1NWINxAbPcnTyQorsCwSYrJoeDzwg5sBzM4pfu-YBriLu1xYFtmVnP5KzLOrik8"
     "NWeF5ExY5YkXDssEaFZtzqlU42sfPdMapoDMYYuX0yGlZKCeZ_He4_WTu5yYgfdXSvWDv015UIZE7hTL"
     "3tM3qSc7YVqbQOxcUH_v7uyRrjhHs1Do6mX443v9v4pP1-guxxaK9unn6JLH-FQH6kl4tH7a4CvFCWqr"
     "ZNqKZ4aD-AHRpAIG_BliacoEnzZUCb7Ahw"},
    {"alg none", -2,
     "eyJhbGciOiAibm9uZSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCA"
     "iZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0."},
    {"alg none with a signature", -13,
     "eyJhbGciOiAibm9uZSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCA"
     "iZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.eA"},
    {"alg None", -13,
     "eyJhbGciOiAiTm9uZSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCA"
     "iZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.L6g69gUetaBYx8XyGs1Atgs"
     "kZyulHw1nIdyqS8B13GJJbL2tcLDMIXhpJTFSI0j6TUdraIboxqEGqO7nqJOLT1Q_oYwXLvW7CLFLfc2"
     "4Iw4zytuLafvZDjnz32TEDLDBQ7v2-UgJ2sy5vsap0zH3og7trF0PlsJ9vkLGHP2vd-XzDa6-UF_CzP_"
     "KiJmtnG70ggG5eXtD5tgJE49K5CIxMaZUlsFC2GAHFeVhKlpHG64D1_tzNHoLhWssV9fZhHCelQjRwSD"
     "XIxlseJSWUCbZSn4ETpstupQYdbmJIj6s12dpyu9T_9-owxsSb_EuqvsIp9JHB8gxVc4F_NcqDJSE2g"},
    {"no alg", -13,
     "e30.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5u"
     "YUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.Q7vTpPTK3TMOw-8R1QEg1z0WM6Ok0F2am-UJCRvp"
     "aiX-5UH7GacNguNj7dyuGIyrHB4pZPdIibzE9IS6jJ502kdpCJZojPcrAQ2Zdu0J5KagWwSV3jSXd-HJ"
     "junUOeMSNhx4mcHT8f31RT7Vjd770_FHV0vvaFkp20P5AMSxvB8HkbmhExzEl-6YxC1A4H64mAeFstP3"
     "DLvHBOwwRMM6Mf-08m8Iepo9XtAearYpGTl4lg4qo-jBrizZuFjuK9us37835XKDJ1Y2kkFYY9fHyp4f"
     "K8TlQVyHIZTCmLzK_lpDSvJ6FMgbfyokY-su0KcRNfo-3CROq1PgAeYHL1qyhw"},
    {"alg HS256 by the public key", -13,
     "eyJhbGciOiAiSFMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.enFRazzYSGbM_E0GLEXng"
     "NIoOpoPJIABJa5uRt8-rVg"},
    {"alg HS256 by RSA", -13,
     "eyJhbGciOiAiSFMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.EICK69gr82b6HrxxTqKi_"
     "6rmIT_uuoKXQmWPiNdweQJbycv0T5PARshwmvk7wZgQ0FkPBoSn5VevtbGL7jt8P2WizS6c-KxWey1_9"
     "UHxzpN-3_8xnFegddrAzCps3czqKLOU6FsF7rLDPPlzUy2f7KAommGIek4ON-YKjiiww1fiOMeunktjV"
     "EOXHUuNQmfVTkg7GKsaMeJo2Pv9XJPiqwi5_vPnaQN7YvDMl0eadiL3VSX0wfS1kfE5yhUv-Ks6aYPia"
     "UbvaeaosumflnAsJ-PTEHlKEM4wiA1SL0ownTc92rXsniwFtWCz7EizDjJbgZzQDww6dtgV8ne_6gbws"
     "Q"},
    {"alg RS512", -13,
     "eyJhbGciOiAiUlM1MTIifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.bX0ibul2F5Skr6WdJNLL-"
     "st7zqedQmpoMeBe0gITL6jvEs6WJWubFB4RB6Uk0riJ0UJEB_mPR2e4cjmjNklWsVHHtBtXc0X11J5xB"
     "NxaP4MJX1uNXfpUEfm9SFbcg3_C0CQPRVPiSEKpsjcyIgV9AOoiWValC4vwrVoGfM4e6aNb5zf-TupXt"
     "htTpfZYn_s5FsTJGAYM0h_8WvEXc0Ttp6hmpNeXQeluzO3eE292aCP3wUgGo4OrvGCWDLLlpbC29cwf-"
     "mAYGBunDgqRyf8Qx8jkYbA4x055l5I62bnjSvC5WQSkawPTus63hYe27ZyYbdkgiuXZmdPGpxiEqHCmk"
     "A"},
    {"alg of another key", -13,
     "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.N2P"
     "VIapPQi-SyUFZpEQeVYDJnr10k__IedyWbd6GFSFE6RV4XUN7yINvJFOxGJPfotl0qWLZ7ijvdMOzROE"
     "9WI2aFiJr4hHSWeicxVDtrN8ffpgHYJpiUOb9Bv4QADF20hlRgeL-6nD5_qxjZ7u458StdT8cGqUj0ib"
     "Nrn1bBSRwQFyIVjrTTkqPjQ-NCM1lwxlIyWEMJxb7B68ssFXlulYEa0-Ljam-u4gOBn1c0Ykg5gAQEGy"
     "3gpz1puDwkM2USUkpNWLq1kC2aMBiyti76qmcMecobp7tK6i3CFC9OzKXDb6acjxbEQMNT4qX2d6oFWz"
     "eZhk7bGyjkfquwv5DWw"},
    {"alg in lower case", -13,
     "eyJhbGciOiAicnMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.KzpcN5JKle7UC3AsioN2v"
     "P3sCuLkPYzSdHiUXLWkFT6gwQjjvWc0RsUofW3pEJqfGzwrzCaD2cSE2dhvaW8J5vV6BUbhR-swKqUHH"
     "fgz3ZflHDGKj_4TQfQ6vZH4ZVp9zNx0V_zIGguNDlTbtyUZnhec_mYIHYi684ZYwxHBAiwolty9rDLO5"
     "2YJuqCFjeL6uh2Gto1KDQu2GrsAxBiw2zZO13wSg2dKgtIe3iM8HWHlUY44VrhH_69WBgbUCYLCnK1Am"
     "U4bH6Q2vqG62MkTj5Pwn5tNmX6QTmZ_23rhBkaaJPNbp93YbL2wevsVmMxLa6wLzI82JqVASjgNXvqco"
     "w"},
    {"alg is a list", -13,
     "eyJhbGciOlsiUlMyNTYiXX0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwi"
     "LCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.D16cbdrtA0B2IxyBxw8-"
     "O3IJCrJkEwPJEDDM55wqepSKI8Im9jWMxjQPJJXCyYi_pY-tAyRTDpUbdTGkGT3iWTmQrJxBYV_BMPTz"
     "K_4LwlSKvb19yV6Ovx78-MNmsrFIZy6qHUQgmJm-Y5pUlnYWXdem_MtrBzg0sM8Eifv32UzcKwRmOvvb"
     "M2aXNeJyrcY9y37B-UwSWvWqCV_0dM9rR7pG-DFoafwG1oD4va9Scuv9s2c4ZRn9xsrnjzHdZN4WktHc"
     "2YtMx3rdGe7JNSgwG03YYrtrrBYvmbyDtteBGelxABhABHyIhv9INIadoQvtoNlsrxqvqa9OMgE_-WhF"
     "7w"},
    {"unknown kid", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogIm5ldyJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.AoF"
     "D0raeyheJeJYpzFS64J8E6ft61hJhOp5OKZtoJWeVKpwcsmsmOQ6ACKIQpNfLCtqup9BVXJuGESVzKx6"
     "0raEZy3_C2lLGJlDpO80ooaCq8GhchdDbzICTsRjEBt_-JFwoTYV8xTK0YlmTTtzrID5VXr5b3_iwprR"
     "foWCX7rbPNiJLMH0udfP7Q1f_3gdktI8nTo2o48T0jTlE2ZXuWKVNijhD8XLysBbJi6uwfF4k-rSD3MW"
     "o0Qb64yu7AdmIxOdSqTX6phfNM4QIsHM0TiianGKMnR0zwCtzrmewPXvaCyCbypOkhduNQ-gBQq_imtx"
     "Enqwv0r-xi8aa6Zisdg"},
    {"kid of another key", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogImVjIn0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAi"
     "YXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.rd4L"
     "RoJj6j4VE-eWUWnuxHzsq8iyusXBJ8k15eQ0u0x1LYQeM-Qk_9XToEYP9SZX9TIOHbE5AY5yTTQzWpNP"
     "TqFf1fGVDfeGzPCmCIr04wJcsTMd7KBxFStFRD4to9L59bD7GsKz9b4mlyhdL7mtp2anJxobHhLAtIeL"
     "dfel83-EE12QRCqnZsr4uqavXeGWibAtJmfDhxEKbLDxBL7PdK8UBNKL5Az4kxUnJimzh1sQp5psakA-"
     "5b8NGHOTOMRoXLK6uGAcwj3CJLLHVx0MpTiRw8qzT8aI-tG6s_MUSSZ6X8uJJR6FfmxBfJxl4aL6yt5c"
     "Oz2eSVgB6elmrG0pSw"},
    {"kid is a number", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogNX0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVk"
     "IjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.cJRJt4iS"
     "inX3erwSVMy1FLKOsUcffrHhSy6ZuXEeV_2DVgOO4OBB7ALADaCxbaGtIpV-JM9QKm8XsNdoyerfwC0-"
     "M-gAzjePhjnYCyWROsCTmlPrWBXjTkU5_81twIJ1glwSOQeS4Y41Y0lXohMKn7R5KCFpRTZpy1FoXjhq"
     "QLHeHnbErKLJdIPNt53B9sok3ClbQ6eHsH4M3iD6O9TFgvkPFTJLZRc641lDG-TBYtzvkcFylVZ5TJNr"
     "2fDB6csluvso3bIXIECb1MS2K_uIKjRyzVs5T593lbueiceyTCWQBVYt_1aSO0Wl2E1pWtRO9Yf7p_hY"
     "wRiann8WtkKCdg"},
    {"kid null", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogbnVsbH0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAi"
     "YXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.Soi4"
     "oH-K_HjC3xEtDWUMhGvaRhybBeJw05y3zSkLw4kI8cLo6xD5_vS4uhgayX2ehR19w48Obpg5uB7pgesR"
     "QQyYYNw-ch8N4iwSyACAYxS3ddICseS3_mC2YZxLKOxPVOIKMfDuEJA1UPfqFu-x_LtC0eZZONHD2Ctl"
     "gQrIVFSu-CJUj-fx5r6o9P6D8uwt-thF5UIl_wzVkRiFPLrzf7alKptM3es5Dluendhtw8JWp8NdTyXZ"
     "TGb8Nbapeb2dNKEyiBxagKl4iQdoYyQx9--Yt_Tqn4PA2hEDp3WzUOUyR2SA-T-HVV0WGRPkWpMsLTVV"
     "EMOb_rrzxbyp9lNLhQ"},
    {"crit", -13,
     "eyJhbGciOiAiUlMyNTYiLCAiY3JpdCI6IFsiZXhwIl19.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3Q"
     "iLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0"
     ".H1xbPpvn9F-5b_9efSEya4DtGRb3kUCIYmFcPIHICritzvlTFnBL7X9XSf6miNRBkb8aBbQscKbeIh1"
     "ZETuu2DvxPrMT0fjaWRHHhIalH-6VE7Q0X1ONrHDwO8lHEbbd_yODmfoNcrPuIqBml-w_eHVSEDAR5rl"
     "PkQe--LLyrCJllSmOj1RuC8oqpoMDG2_VhmEU1s-XwYIBbdhf-fnKem8SS9v3QjBo64wKdtuN1aJosHU"
     "48vrn_3oPQab1z06XHos-gi_hTWRBLZZMGICr49p1o3OM3TtwUvnpIYXnrWTxXgd_zDb6JdABBTfliU_"
     "to-g0IG4hEdWfqy5s_AyHGA"},
    {"key in the header", -13,
     "eyJhbGciOiAiUlMyNTYiLCAiandrIjogeyJrdHkiOiAiUlNBIiwgIm4iOiAidWw2cmMxZlY5bnlSNVVz"
     "ZDhlOXZyWjNuOGFmeG5ad2VkOGxBWXhmV0xmdDBnRTRyUmphTE9zbWhCOGtjbThoWjd6T3N1eHNYaEgt"
     "clVRVk1BSUpVVGVSTE05UnFWQWI4cU9lZWpkelVPa0pWZWZvUlVWeTAzYUE3eGtWRm5XOEZTOWY4aENH"
     "SW1NUFBhbU82cDFNUHd3VXQ1ZmIyR2ZxWnJTdjJ0bGNENlJJOFpVblgwYTN1ZGpiTXVlQTVYRXlRVGtB"
     "a1FieTBBVXJBWEx5NHNxV1BnVE5aUXlnWFgzYWdQY3VnZjlXN2hyal85a1kxb2Q3d3daSVNKbGhvS2NJ"
     "UnNjOVpESFMxSDZFOGNKY2Nyd3daOWdCM1pqaG0wbW5kaGxoT3RMejBmcWhubVZTYmltQWlaZ21RM29B"
     "cDh2MG00ZVVGVTZUelRIRHdOeVdsVHVqLUVRIiwgImUiOiAiQVFBQiJ9fQ.eyJpc3MiOiAiaHR0cHM6L"
     "y9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogM"
     "jAwMDAwMzYwMH0.M75guBPmZk7ydT_R-8tRTD-xotXXNaBEXJbJddXB0zp9WNQr3OBctJiaKY-wXz7ks"
     "94BfgvLi4ZmNU2G3kBkHW8VFcaxI-bEXwsIBdv-o4239aoHRwBvc_HZHSrh1fuY5iwvBTlY7lqFgXdiy"
     "YJb1inB7C_M98670Fq7iYAtdimSN_SvB6arm4O8Fc22gYzeAYT8ysGOwycuCDISqyEnxaT_MpTBxJtuS"
     "L8T3KDRRLyjz0TpnnLgFNIlPn7HkRACN60p-SbTmDcjh84fPpLD0i0N_Op4mopbFPzC6EnqgbGr-hP6m"
     "c9wCbH004WjKvW6rCEtr3Fjd0pWl-V3K3OJJQ"},
    {"signed by another key", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.QArVTRALjRZLMeCWylyDK"
     "_7aqD6vVpc0MFbNroknOpWpm_oyKR0sfs1Pl-16vCd5_kpukVPV6JsKd26Sl9rDz5BFPlTyECojKHiIy"
     "X7ugF-zj8hB6qS-hrEr-9CF-cbz0iXZ2-TcFEcuILb-tAwqg_fp3EqFSf0WkprS92BeQX5fwBg2UMupA"
     "9kuUj3Nwdoq5FwaVYnQ1h8FenEQhBwdYbSMTg9j6rvZ6wAFW82kcbtTVXwjPAx9k9oSUmbtNPUdZVgQu"
     "8obC-HIA2TIkZ8nsoWjG_237wuUeAdum7VmJSTLXN4Qn2fhlnTHxzoIsKwxCYgfVsYS_DECOKs6GqACH"
     "g"},
    {"payload swapped", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYmVydEB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.If_PIh8PaW54NCGBR6EbG"
     "nmTkUtqBQqnkLh28efqo47WXQFeabWZhagZNnwHjfGIDgmHkUjOZf_g1jbfmE8QuxBSZXfCaXZmiW_FQ"
     "4B8xNWJ32YxgeGVfu6IsvVT_Azbx_te5cJ0BRnxZlngZuGcMlgbBI_pzKqoEeDS-V8qA5_irZRjhFOIh"
     "cV_fB8YEhfMYmp_MXBSr5vKFseBPz1UUigGR1nRhCUmV8kLHwBD3zT0Tcxp5hPL3oxsJpE2dIwxYkcy5"
     "uYnMj4TfCtDVODMKD38O5xGGihSq-WK2oiIhZ9lnSRL8xlT6ZOSnLcnzjd5O1TTujkK3gxjBE3X3TyOd"
     "g"},
    {"signature cut", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.X_F"
     "R580dPWrTf-qmTVGuOgGwtn-L_9xGSGOykWUPgB_EITsGT1ZZPpdpoApgEbYwF54EcSLhNvWBkWOKKfr"
     "N28xn4GiAaSY59XxnPQp37j4n_FcLJ0lnFmJ3Is7Is0o5_K99gJqBdYfZmsIftJpQjdL2kg3bx_1H5Sd"
     "T0mq2YnSpX_-9NEhfkOnpyKsi_P5Zro6KbMCAMVsSUgj7TaIE-HfP8SdpFVVtA0jHAX_VuPro77izhEp"
     "XliYr92NhWO-hz4Eimy7kOKRztJtB-e11Wrp0WzBldaxxeR_YMfEonVwK8MSaOBcGZlRcCAaaGRTOUb5"
     "TfYadu8lpfpcexnfm"},
    {"no signature", -2,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0."},
    {"signature of zeros", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.AAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
     "A"},
    {"ES256 of zeros", -13,
     "eyJhbGciOiAiRVMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.AAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    {"ES256 in DER", -13,
     "eyJhbGciOiAiRVMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.MEQCIF1OICWduXExl3us4"
     "zyNVbGedw1MHQRBol_2_URDm-kJAiCQHFY6694HZgPorO0Vre3-xC2zwOLPNRBMoyWi8Tpr8g"},
    {"EdDSA of zeros", -13,
     "eyJhbGciOiAiRWREU0EifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.AAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    {"payload is a list", -13,
     "eyJhbGciOiAiUlMyNTYifQ.W10.MhCfJwNo8_uAuWgDRWFL11jZ2FDrR4IGpSKYT8lWFGPjJQCRlmKKU"
     "pKmzr30wHdVu4SLC9VibyIMY7_D7EIB8pS0fN-2yWqihh2b02KZ84q-nhX7gPyjNo_-n9CYn6YfCOHSs"
     "CpH7xF11J_wG-uwUfEhR9hx-sOCqzxU0UZjuYUb2rHcyDPfw35MD_RgPAbiSrhX6LcR4LsC-0fO6AhO_"
     "jth4yHX3sHjuHi434zGJwEeYc-olXWoUrIoTHziHijb2ogPwFfHnIu0uEO-IOs4-zQrG3dSbrmLNMGOO"
     "mUBFJcVqRIvSLSBcFKH-R4zTmGxqeu7Rh_UpB_D8eKTMsfEUQ"},
    {"payload empty", -13,
     "eyJhbGciOiAiUlMyNTYifQ.IA.b5jksENWDpGVKJOCjdigK9b8xRj1NQI3pwxMZl9HpVgBoABx6mLfzL"
     "m75o0wqW3isttBUZEqZq-B2t_ScEsfGDDwXwjrPhPcjkctdj9faTuIlAFXYuqM3ZAOisZtTonqC0IIaf"
     "pepwnW70r2SJfBnQERb6jNCsb3hjI4jKfOhNNmshMbptV14c-_GXWxyJ0fPH2gPtDiys-aE4nhpzjmsq"
     "c-mQ-bSnO_K_O60Q9kYkUoLCn6ThUZloMqH3oP-zQMaMms1PoAnc_sr5QTEDdAtbSE2vRo87Iu-dkZDU"
     "FS3YY7xgna5BmidNZE-QN9Eq2lD6NA7Xjt-5EOhnxG10BaGA"},
    {"payload is no JSON", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJleHAiOn0.bjOUiL5sAM5MfLRVIjIiZzK_5Da5thNmyWqvUuY7uOQxF"
     "eH5Qiibn_69OEe0gHga3V5XJyYC62mAdLFv7nC4c3KpmzscbnwlvzFMXdHFmoXZpwuvC2PEg7__cZlRX"
     "f2PxB5fYz6QEnaPFzy8rYgmjInv-if270jacNWV8OPGYIojWQ2_7yiR_24d08vBTbJh41XrnTTOcfNXY"
     "U6s6SzCv24HFN5y61RGF6x-h7uBQ_4aTbOd4wme6hSN8mT8XMzHaJFZTbYoC4uyJySDivopXjdbXiir4"
     "mGFthXR29aNnCdpwtwKearR8JgBp7mCr_b4-m9xvIl_-kPg7xkztsjqgA"},
    {"payload has a name twice", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwiZW1haWwiOiJiZXJ0QHgud"
     "GVzdCJ9.XnzoxIRf3rO-agoF7MdBJjwF2P3PwXvmKOm3pop5M2NkwPCToP2l_jaNMpMRCNv7t3j-4QpZ"
     "7A58_0FQhHb4AmoEloB0vZQodygu6Y7VtckJDwcEonKCLGQ1iCZT1t1lkfxM5eq0AxZG1gRprcceEltX"
     "x8zl1HYlPkZoVImk0pXiT5Z4o8iHhSZ3g_QnUBSENONaMgtSk26QHi4iba8wOXdRfHilUGCiFL4aGhAi"
     "prW3-fsy7HacmyFpuB4Mqc58ZOVNluuSo2fUcljvSFrx_ffTOz-oh0Vma2jEWCDOY-0ha0JTZn5eGUra"
     "BoINsJcZ-EEyuqhrGjsDnYF_LTxSTg"},
    {"payload is deep", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiY"
     "SI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiY"
     "SI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiY"
     "SI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjoxfX19fX19fX19fX19fX19fX19fX19f"
     "X19fX19fX19fX19fX19fX19fQ.rz0mS_1784x-PQW7mXpr_BxlA5I18ijFhg2meLLgnvzRmlQvHIB8zg"
     "7Q41jLOPjaBiHGJwJ4OF04zhUU-wJg0Vk64bDVBCEvpVhZ1bTG74cvSChTLMCVA4IRAHjAKEVzYVHuNi"
     "WMTVKXUR2Gi3GuMOJZRznvu1WpZTS8zBujh6yNb9ZrndG8ZtU5irAZeMqWxwO37EE-C1X3wdtdjd0RY-"
     "UiOdl3q0W4M9ElFP4ia1nLGwx20bCfFQ9QiVJLjc3HhlsTEvyi66VYAioEXkKAiNgu8beAdCEmPWLsaq"
     "1MZBzTKHVvxPJd55d6MZuLw2yU504UgK9VLWsiSctzK5dGBw"},
    {"payload is not UTF-8", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJlbWFpbCI6Iv8ifQ.kYJQdfwx5XaoXHlK5AuPCKkkdWE6v0VQ9XUjyy"
     "ti781UIsxACZKx4hSICRoBVqQQKsa79sF-Iyp_KvLQ-FYIOIyFSyqRIpB2hoxswYZTTAK8PCg1GsGJGY"
     "tk2-b5wG4jb4Nln2m615s_cvJeO92sOTYw0IYgxUEyPUgGDp-tl8ejflKNIQGizx-_R9J-NlaHETay3L"
     "XjefaDkn4CDfx_nqG8HNOE-m1JyqT2OxWbIZ5W9qdQ8icjwKVDz90FUwgl643ZbhbwZR6741erRkXElR"
     "1TR49Vp-U8-mh6xw8KjnIPId2NziHtMTO25mnIJCd7aRLRZnCxkM315OVXfXc1WQ"},
    {"header is deep", -2,
     "eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6"
     "eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6"
     "eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6"
     "eyJhIjp7ImEiOnsiYSI6eyJhIjoxfX19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX19"
     "fQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uY"
     "UB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.IxJL9DuvJWSFQ863UmzB2s41cinNqmynw-8UcVKBg"
     "zbLcnDv7qNwZdWpZnzS5blU8FKqUvVWyPrENT_qZLtISKWPk9m2tSVoI5iPRd1SZzFObh21G6aWEsDkk"
     "6cVsKO8GNWhrOIrwapr8CfppqyCsG8vbfDLGiohUQYJ8fqrgH2a9JebIoo2M25PkDRrZ8B4rrK45T0qw"
     "5hzeKmM1EPj5RPmV4OAZVC8KAZxA4wG0FHhTEOqmWaUQY1hIVfxIEUfrsYhYvy3yJH01S3y0GADwvfpQ"
     "BcNDsA6JCt1wSnbiBbgPw3NXwHwBkFTKuWBkkt2Ne4Ew6u2LktUB41uKVqd6w"},
    {"header is no JSON", -2,
     "aGVsbG8.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAi"
     "YW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.GtymPz5T0bbqx57A9riaX5EvVjgrFzQKtutq"
     "FLg_qM9LRKo9POXbbY_oCgsKu_YYGLl3Zp_2ipWRjWwh45cTjcNKCe0B203Qx0YcQAkOlOhIpbmPgB6m"
     "xo1UYtB5hTKeeR594rfnygxdNZUEpBsfLAkKVIT4Kp-xx_nVX2oCD8hwjuPOCvMUdceEug7NQk-AJIbo"
     "s73cxcn2MRAPrtsFI7BIC8cimPIlx8lGSNJwYxlK-qTat9eg7sq7d-pBxoX4b-_3zYCHiADut_SlbJJu"
     "lKylSL8xSItaHr0JuYviupGR3jI6L8OCmbZEk-qA7i960sQqIXrzN0gbBlzxZefYrA"},
    {"header with NUL", -2,
     "eyJhbGciOiJSUzI1NiJ9AA.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.SyefPlulAfBSrLpFH7YP3"
     "oWEjMUV7e9GY972JSGLhOyv3EYTyqh6uM30q2oqJGMAmLlrY7zqszAUu_Wu4bT7XomAt4SHfta23QDwU"
     "WOfhFilZsLJNJv0zEVjUhQ4vGlS6g3CzDZGJ_cx_CqCRq5c1XsdPuVEdaGDVdQA7FCt7S3ApTbX2YPAJ"
     "3UNcVopiDsenMdmpvdojbytC7I3mkHoZcSZCJAMUW9eorU8TmmzQYmScvPyLPy07z6aTAadCfceX6RAp"
     "uAjE9WMUhDuu_rwOsofmdSq7lFi4-IJ-kokRbfVLFWpZLqZNaaAxAXIfmLRrs6kAli1Mh2hVLfIyBJp-"
     "Q"},
    {"padded", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.X_F"
     "R580dPWrTf-qmTVGuOgGwtn-L_9xGSGOykWUPgB_EITsGT1ZZPpdpoApgEbYwF54EcSLhNvWBkWOKKfr"
     "N28xn4GiAaSY59XxnPQp37j4n_FcLJ0lnFmJ3Is7Is0o5_K99gJqBdYfZmsIftJpQjdL2kg3bx_1H5Sd"
     "T0mq2YnSpX_-9NEhfkOnpyKsi_P5Zro6KbMCAMVsSUgj7TaIE-HfP8SdpFVVtA0jHAX_VuPro77izhEp"
     "XliYr92NhWO-hz4Eimy7kOKRztJtB-e11Wrp0WzBldaxxeR_YMfEonVwK8MSaOBcGZlRcCAaaGRTOUb5"
     "TfYadu8lpfpcexnfmCA="},
    {"four parts", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.X_F"
     "R580dPWrTf-qmTVGuOgGwtn-L_9xGSGOykWUPgB_EITsGT1ZZPpdpoApgEbYwF54EcSLhNvWBkWOKKfr"
     "N28xn4GiAaSY59XxnPQp37j4n_FcLJ0lnFmJ3Is7Is0o5_K99gJqBdYfZmsIftJpQjdL2kg3bx_1H5Sd"
     "T0mq2YnSpX_-9NEhfkOnpyKsi_P5Zro6KbMCAMVsSUgj7TaIE-HfP8SdpFVVtA0jHAX_VuPro77izhEp"
     "XliYr92NhWO-hz4Eimy7kOKRztJtB-e11Wrp0WzBldaxxeR_YMfEonVwK8MSaOBcGZlRcCAaaGRTOUb5"
     "TfYadu8lpfpcexnfmCA.e30"},
    {"five parts", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.X_F"
     "R580dPWrTf-qmTVGuOgGwtn-L_9xGSGOykWUPgB_EITsGT1ZZPpdpoApgEbYwF54EcSLhNvWBkWOKKfr"
     "N28xn4GiAaSY59XxnPQp37j4n_FcLJ0lnFmJ3Is7Is0o5_K99gJqBdYfZmsIftJpQjdL2kg3bx_1H5Sd"
     "T0mq2YnSpX_-9NEhfkOnpyKsi_P5Zro6KbMCAMVsSUgj7TaIE-HfP8SdpFVVtA0jHAX_VuPro77izhEp"
     "XliYr92NhWO-hz4Eimy7kOKRztJtB-e11Wrp0WzBldaxxeR_YMfEonVwK8MSaOBcGZlRcCAaaGRTOUb5"
     "TfYadu8lpfpcexnfmCA.e30.e30"},
    {"two parts", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0"},
    {"opaque", -2, "ya29.vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg"},
    {"dots", -2, ".."},
    {"empty", -2, ""},
};

static const struct {
    const char *why, *keys;
} jwt_bad_keys[] = {
    {"not a key set", "[]"},
    {"not a key set", ""},
    {"not a key set", "{\"keys\":{}}"},
    {"no key for", "{\"keys\":[]}"},
    {"no key for", "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-384\", \"x\": "
                   "\"a2MLLfwCatIUN2MNELN7lcB_C3w2vzok4tgVRTreKUI\", \"y\": "
                   "\"tIK4olaXOobLtDLAujFsOLOIdcRwnfgofLecNKf5rKQ\", \"kid\": \"ec\"}]}"},
    {"no key for",
     "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
     "\"a2MLLfwCatIUN2MNELN7lcB_C3w2vzok4tgVRTreKUI\", \"y\": "
     "\"tIK4olaXOobLtDLAujFsOLOIdcRwnfgofLecNKf5rKQ\", \"kid\": \"ec\", \"use\": \"enc\"}]}"},
    {"no key for", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"},5]}"},
    {"below 2048",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"vYPe6RmIPa_HDCS8AvQm86cw3rYP2kH1JYB5y_3qAJLGD8vQ-"
     "x9-SuZlpXoZe9ZQkVfZ8wvZMp7vOMQC9crZSRUJsYefXcaddcYVweDLNHP8KIhCm4XmuVffuaTNUbo8m"
     "oHvi4IEJk1n0aY6U0Lnb5pIx53pv3sW9GvYnWLK9ek\", \"e\": \"AQAB\"}]}"},
    {"not on the curve", "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
                         "\"tIK4olaXOobLtDLAujFsOLOIdcRwnfgofLecNKf5rKQ\", \"y\": "
                         "\"tIK4olaXOobLtDLAujFsOLOIdcRwnfgofLecNKf5rKQ\", \"kid\": \"ec\"}]}"},
    {"32 bytes", "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
                 "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"y\": "
                 "\"tIK4olaXOobLtDLAujFsOLOIdcRwnfgofLecNKf5rKQ\", \"kid\": \"ec\"}]}"},
    {"missing", "{\"keys\": [{\"kty\": \"RSA\", \"e\": \"AQAB\"}]}"},
    {"not an RSA key",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"sEJTCM6IbdwoeKt2rrgDGHCI9WV6QsItxP5_Gjd1KZQwaV6YL"
     "kq_dhuLkWaZbWxOGj_9cyxO9uw5-PIQUAGdviKq-UaZ4aZWEyDBZdehKxcVNt1VnjU2Bo88s-XT86dsl"
     "rJYDSPfRwCU1eXojtrCORKRbznMZLxlVfvXwymIRcmHIqCgK6uLrQ6jU2q5n_eKXHLo_jVFL1f2gf1pi"
     "5HiUYNFD8UkkeRPfzsCKhNQKhR7c2aTzKBl5niStgCtZOTi0wuTPq9kCTjLpySrNvS9UwAQUV7D-UzWR"
     "zzKDXJOly6wCXPO8KTIugi9XyX8jMdcC9nwreTCYPGP-wI3cNobFQ\", \"e\": \"AQAA\"}]}"},
    {"not an RSA key",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"sEJTCM6IbdwoeKt2rrgDGHCI9WV6QsItxP5_Gjd1KZQwaV6YL"
     "kq_dhuLkWaZbWxOGj_9cyxO9uw5-PIQUAGdviKq-UaZ4aZWEyDBZdehKxcVNt1VnjU2Bo88s-XT86dsl"
     "rJYDSPfRwCU1eXojtrCORKRbznMZLxlVfvXwymIRcmHIqCgK6uLrQ6jU2q5n_eKXHLo_jVFL1f2gf1pi"
     "5HiUYNFD8UkkeRPfzsCKhNQKhR7c2aTzKBl5niStgCtZOTi0wuTPq9kCTjLpySrNvS9UwAQUV7D-UzWR"
     "zzKDXJOly6wCXPO8KTIugi9XyX8jMdcC9nwreTCYPGP-wI3cNobFQ\", \"e\": \"AQ\"}]}"},
    {"kid",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"sEJTCM6IbdwoeKt2rrgDGHCI9WV6QsItxP5_Gjd1KZQwaV6YL"
     "kq_dhuLkWaZbWxOGj_9cyxO9uw5-PIQUAGdviKq-UaZ4aZWEyDBZdehKxcVNt1VnjU2Bo88s-XT86dsl"
     "rJYDSPfRwCU1eXojtrCORKRbznMZLxlVfvXwymIRcmHIqCgK6uLrQ6jU2q5n_eKXHLo_jVFL1f2gf1pi"
     "5HiUYNFD8UkkeRPfzsCKhNQKhR7c2aTzKBl5niStgCtZOTi0wuTPq9kCTjLpySrNvS9UwAQUV7D-UzWR"
     "zzKDXJOly6wCXPO8KTIugi9XyX8jMdcC9nwreTCYPGP-wI3cNobFQ\", \"e\": \"AQAB\", \"kid\": \"kkk"
     "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
     "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
     "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
     "kkkkkkkkkkkkk\"}]}"},
};

#endif
