/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Made by jwt_samples.py: tokens, and what is to be said of them.
 */
#ifndef RINGPOST_TESTS_JWT_SAMPLES_H
#define RINGPOST_TESTS_JWT_SAMPLES_H

enum { JWT_NOW = 2000000000 };

static const char jwt_keys[] =
    "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"rz7MSUaj_bJbCUIJfsSmobvPn4nSOpt5eIFQQfFILdgb4hxn_"
    "VlJaXwLB73I_1tEsxNGuwChkxQpFfkfm5VcNWey7xKyE2nWkjgfoVdeE7uCrU7Chc4DhXFQkurALlnLW"
    "awrx6x4gE2ka6KzO4P4vI0opFOuJXnkbEswLQA7Y3bGIPHepbiBgk9yIiGsnuV7_T2ppMLLNfym6vv3m"
    "nxictRKEdZLcH7A6uMVYaRVuJDSOdRdCbQ_YHQLbfaZoJJWLV8lhggypJxNk_TMoxRjCTNmsYb8ojqeY"
    "J62PSmHJ3xV8kMtBXzDrylESvnxPvBcqgc7vpbqk5eP5onngmRtlQ\", \"e\": \"AQAB\", \"kid\": "
    "\"rsa\", \"use\": \"sig\", \"alg\": \"RS256\"}, {\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
    "\"Mxz2kI9t5lDwoF7mSnC3OWUoa_zqM3y418cNhGicuX0\", \"y\": "
    "\"Asx1FxnfaGu3D5eHNFKEgii5nIsIwXbfSHS6pSAgx3I\", \"kid\": \"ec\"}, {\"kty\": \"OKP\", "
    "\"crv\": \"Ed25519\", \"x\": \"NZz8R_NFgGYwDtzwNZk5dWJaffG1HKr_GegH8oZ6YSk\", \"kid\": "
    "\"ed\", \"alg\": \"EdDSA\"}, {\"kty\": \"oct\", \"k\": \"c2VjcmV0\", \"kid\": \"secret\"}]}";

static const struct {
    const char *name;
    int result;
    const char *token;
} jwt_samples[] = {
    {"RS256", 0,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.ZFX"
     "_E8yR82dkkqkroJDNyX7_eidLrEUxHBLJO75PJm7g8AEa6DRAxDismSNlBl8eA_jh7hTG3aWHkWRtJb0"
     "3sinJsHPB8yizwf1HhdCd2Lpyu_mvyzE7raEHfcYwDlVlf_Ea6HCWqK3OvRARv_7jl5cnYKOkkx8PC-S"
     "2Iqxs6Ci47egIKxlLcir4I1YNQBEWr1RBCZjqxELr4bYVugicSyxvixms6MVBz5az97_ANUzBP6E5kAC"
     "jpt6pLJYqb44B30KkXes49n68GVyUKbYtIQf-VuHanCVeUyNyTtiiNfDAVqFuNF-fA1mf84Q2kL4dTCq"
     "XhOhBD2H--JxQxZIXJA"},
    {"RS256 without kid", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.R8jz2XY1kJqWu4FVwJpaw"
     "bN3fd340TDp0py406X_hcrv9qurO1zgs-1VuNS-JlM1eNPFgACD7N0zsTsgbN_ezahjbkTLz6qZhD4a5"
     "M0aVfHHKD3uCFgyvQAIY3OiNgIIuV4EAyNy1whuKsS6xq14mKITbqi31R04i5ZdDM-7D7f4vpYey9cTS"
     "yXLr2TnrIzvHYP5n_omxz_TOz_GT9F_EvdE4tIy8KJgeEcGVWoydfg5A0wSLo95qHH20xRzzE4vM_Pmd"
     "LTHHZJCdZISaftZNPhIuxmejSSnEG6iaCH-f91nXJ9SjsokdHWUb8ZjRphnu0cnfeQ8TMxl6G6PtRVHo"
     "g"},
    {"ES256", 0,
     "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImVjIn0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAi"
     "YXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.W9J0"
     "4qRQldLg7sI9BYtlNgwZ-OKvwlTMYNgZEjm3PdzW7KOwYB_V_BL16MxDBia9xN0qXI4tAM4QcZXGvag8"
     "pw"},
    {"EdDSA", 0,
     "eyJhbGciOiAiRWREU0EiLCAia2lkIjogImVkIiwgInR5cCI6ICJhdCtqd3QifQ.eyJpc3MiOiAiaHR0c"
     "HM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwI"
     "jogMjAwMDAwMzYwMH0.CXMbDN2qyFd0x63av2NUPE-zJm8IZt4STOA57qqNIIZvDcuSjzF2AAaxd1WbX"
     "Q0XWXm3IvRdamweY9-08QREBQ"},
    {"audience in a list", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogWyJ4IiwgI"
     "m1haWwiXSwgImVtYWlsIjogImFubmFAeC50ZXN0IiwgImV4cCI6IDIwMDAwMDM2MDB9.anjxsVqWFTvc"
     "bc56THqv4848-7s-ClMkmWn59UpFUTNSzhHuYZPkXonlTTDswctXKPNrV15il4HYBQwH5Jkko_FbkmwA"
     "-nPrRSoZLjVF3ODIR69TXsjqotcvZquW0S2CqFS2R0coEFmtsn5bG_EW6I0gSlD991BNpuTqOqDYHdz0"
     "Yhi9hCKOvN-iIYmyAIqSAFV3MXngcfhaml5CTSbnt4xqMB_Rl18xNap86Y1OqxrLVtTs8trxtUULkGSS"
     "RGo6vCwXoDjFNkemARtl91HBDBbfAMEsuH9d4Ia5EazfqJHnGoBqdRGCSLw259iSF_j8pnO9sh7FMSyy"
     "G3Obz_AHsA"},
    {"time not whole", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMDAwMC41LCAiaWF0IjogMTk5OTk5O"
     "Tk5MCwgIm5iZiI6IDE5OTk5OTk5OTkuNzV9.bKXOzThfcwoY936CXMfYzfaOz1MbH4zFRqir5nzTgcTG"
     "_EgmhtB7tTUmLD2FJbeenrZjS6K74g4Uh9i1j1npFNf05pzuPVcYsRQiERV-g6ygiIZfXFErUIBQ_GyQ"
     "XPU0MOnnHBU6UOD_gZWNLEg5v_A6gcyUk4KeOx_Sio9aKdXh1TF1bmZ8tKx5PaisQW6FsuGNlvU1aADD"
     "HOxqQLsDKt6WARmoddgRMIA6fQGCdlH8BendD8GHemqX3Xyfu2124Rjp0SOx2T2J2oAAmuMRjJbHTsOX"
     "QOgCpcdP-qP5ytGzsRYV5upzZXPJ5osONLxABsXqxxkWYTPKcPMlcHfknw"},
    {"over for less than the leeway", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMTk5OTk5OTk0MX0.fEU5Vf1P0AoLyyfEX83Sf"
     "9otE-L8FaC4GBoCtUWAdX-zXypjdYxaQ9h7cEaaei3SD6hKts02xhwn-t4MScHXGzmAKmaQg7XqoZRdT"
     "1LPy1QvU7FOXUVxuVXwxrSP0-WbQ-giOZxPHqsB4qE53QrleWFfDi6U_0nazQ5C_8kPrJz77Tm8EYnp3"
     "chcpvhoAWmf58f-4BXqbz88KbbWKZtpXJilM1j_iKRZW1nbVafHShGhb3bQamKTzqgXEW1953F91Ordq"
     "BbaWvJUX-r0-leUxUWc67QeaimSftUX3sxnJs8oGWVNEGXIWWver1j_eLDXp1RS4wa180RSFn2Mqwmlp"
     "g"},
    {"from the near future", 0,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgIm5iZiI6IDIwMDAwMDAwN"
     "TksICJpYXQiOiAyMDAwMDAwMDU5fQ.hLZpUwl7Ei4M8UzZf2R9013QHe9T3s_b0Mftt43AYs8miutsWL"
     "Ssxl48jbvdPW3x7BnL78Wb4iFxlZ4JO3kcMMsEwMNVeHCK2Qi8_1ryLK-HDGMMe67gmR_fxdzGTF_HKg"
     "ZZcxPmUE8IsORIvqkNQ2e-Nah6mxqy8wMmCMqwP0Kq8f4ydRu8R43COpd1ApykFPlYQMiWk16mI0KWwX"
     "1hckC_y3MmFJA-GsvP0h5K9_hZVMa5FZjCrCUhVyAcFvsjYpZ-aZiRU61eEl7hgfbaLQzn51E8Q0FYmO"
     "Xcf8RquK0zX3_E-fymlGspj6O8IcAtZZaVk9r18nQ5b9bjWE7b6A"},
    {"over", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMTk5OTk5OTkzOX0.XY_uLwD-atxzKQVSH17Bj"
     "loAHzt3gY2O4q8VYcsB4eMysY6XVAvy0Aw-9z2-iAM0gOb9T-2ad9HQFDh5Shzebe9ElLQWqdZVhsE_n"
     "DZwH0XARCAlIixlJPEXzfJ8cLAdFuu8_rmEvqR5rPzysv37gb2ziTMUCQPmftQzIAUMzKxe7Hm2ilTCI"
     "MowJIuir9URe9WCmjAUI5Ygt1bJBu0JnvoYaeTKkBU0PMJqkTRkosrxsk1hFEU2hpNm-vED_YyskSDVL"
     "frR70YuenXePtY3cFHAEH-mRnic3rlM_mft5ucGXaPkUe12srLLWwfgKtVpbcM71PLu36CC-QllED5_C"
     "g"},
    {"no end", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QifQ.N0rflJfU9-m9KgBjhiBqhocwRq8hCaPGZAQe0JM5EMzOm2"
     "GJPRtjWXr2yYqfcKrLRi92R6wfUq4aaxdRiqkagMMYFZv3JofR94UhVLgp0aL_N8H_STicSqdLqla_W7"
     "NYUJGZu5SUMCfRo35X-SB95ED_6DEYqkau-st6jAHScQW7HdpXwO-LUcF967NjDW2aXlfKBmU3h5XLfU"
     "uCd2TNpUtJ54SkpQJI0zo1GSM-QntOsp8T8Zf3ENRThkoPFT3cPbTreelwWcW6s9YU-BAPVxf1whxKzO"
     "2sYl27Qi9dkcRNBLUpD9DtSE_4SQeHmhStK1uAlRWGulzKDGDrXUQ2mQ"},
    {"end is text", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogIjIwMDAwMDM2MDAifQ.XCSmsJ5tGFawwwh2Rd"
     "Kqyyhft2dCL5iEIDMarK_YD2oZ6mDIvfIXpIc6igtsic8MnGzdyo_vs4sta7PFH8OO55Y1GwbcMbudcC"
     "wgMwiTHylEmlteZD0GhP4FBlXlZtA8CLAN5Tz2G77iQY5N6anuZIJSA28M4xtKsOehUOdmLbaIR3ZhOH"
     "RQPyzo16mcjDkBO7VlWtdWH_PcK_S1lQkDNyimiClHAAeLYJI56m3-JaNCdVAyZjUGEGx92KTFIw2DoD"
     "KN6QnRp8mB7t6N6ML7PX19D-Lh6XqcTP7C5sbWvWNjc0jl8K46tWDdHLmL9gXH-WYBFedoPyVxwTvhqK"
     "bc0g"},
    {"end is null", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogW251bGxdfQ.O4U4J87Q59PY8WelJRthAr3pzF"
     "5tmzT8wgv09_6DFftoAzzrhPKoc2WARsKyyrm3VE39oz1qW6Jq6Vc_uAOZvJZ1KrGFZn9D7V4oLEEMpt"
     "fILylIJT5ItzswdR2TfoBb7rCAyzPI5S6jhm-U6U93ktMc_6DzlBFYix6lmYIPOQ59mkXLyBSuERfO1W"
     "ZGmR8AUp-qyvB6RMj9a0diTTJKondZTnyaHrYBqiAmVAcYS0dJiuYZQwulfnG1bIGhgWs1jTqBMUC5z_"
     "8As_2EwQxMl-iowLrG0MQnxFX9QMkuJABjK8KQYY-f-6qLgAC3qKQSCbYsIpytIJiKRsm9N0LZnw"},
    {"not yet", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgIm5iZiI6IDIwMDAwMDAwN"
     "jF9.KQyAUHhCtWTGBbTvqL7ngAKRwKpbXD1Xyjaei77xXLLtXiQzFLJw8Pf_dDSEbLenvF0UBRAyEC2-"
     "cUTCFZoKYRsAjIXNeI8VHc1-K3K9YE9J300UwsQhSHZPxxhTif5srX0QCHEXXH3Izjmmd0rBY0pnjmF0"
     "xCjyNzb17eMvwkqs2vBW2TmmGALYHYbT2KuE2WMvYRuerQhD_9onfOO7VQSlLBnbgWoIxkARyW8U2mWm"
     "lITLtlgXxS8lr6yn-9cQgp033QMUmEHUsADnAme6yzUGRkdn-RY6LNuuQerSai7Pod6ZWwdSctCOXZHI"
     "t9rJxa6fNVKKxCY4TuJ81aSIrQ"},
    {"issued in the future", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgImlhdCI6IDIwMDAwMDAwN"
     "jF9.dZUyDnWwHu94MHE0nqIB39FSyzrqwNnBi1CrM71nU3Bc9lmnx-IB4nscRa0AIbEfBrmBDrBPEc7g"
     "P-pymfRUiq43UWykRpP_bD1re_5edyWsLyGDm6ZJgcKXqlW_TXdqos-W_5wpJU0l8dZhn4NcDiNZ29Bo"
     "I-M3AAD9tIiiIgxAGtyRyvAgagrNgHGhIA4E38LtPPKHhdI2Pxa3T9oNnkMqippdkWl90pR76AMwxRbl"
     "0AO-lKQtSHwaWbdopd-vHeGMURYdRM9UUSmAaGbEzROhaVXy198tvspjt70tXz-TEQ0Ky2kkizOD4RTz"
     "222-vriM27r8JDhKGG6eweIaCg"},
    {"another issuer", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC55LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.Zt56wobuqyq5OWlsLRD_U"
     "mWtB82sG-tqUA65n-yHMcy-0j_61gVmEE_CS0daqQUb_LOWuwzXO4Y_IbS-mH7lLYM2NumGLJm0-nA04"
     "goQfsdtIqRMg5Jgv3asjKg82Wt5QF1AVJFw1bYB2C5sOmh8aY0C_mweQ9t7QUe0AeBQ4G5AVtMeUTqox"
     "OvMWV3xxKOCgq791YUz3klNDoiXC60Y1XirVEzg4MFfVlL9Z_LbqJ-iH0vMJw6oJnX_ZaXYpeQohfVD8"
     "TRgI_kzH5R-irHQk4O46AWzLuub39HykUeS7QXBsPC9erIAyjfVVXi9Ilxb0R_HDleMNiOSxjKLAZ4ZA"
     "A"},
    {"issuer with a slash more", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QvIiwgImF1ZCI6ICJtYWlsI"
     "iwgImVtYWlsIjogImFubmFAeC50ZXN0IiwgImV4cCI6IDIwMDAwMDM2MDB9.dcWfUkkfhj9X7D_vPu2F"
     "f3BItQ1L8GY5YUpr7JncWc6nTCbOK6VzAgz9wSVHg74_0rXJWt2wL7CWyXuu1VIAI12nW0pDgvzbRsuJ"
     "ggp4Cn3sWBG2GjrPmfeg93BMA3hL7Jj8d8FH98-6x3CkjuudDUjBEs64h-JrteJV-CC4GIdEwqIIdUc6"
     "w2e3wG6EXkYNkI8_o4k_RW1Oc6u-OUABIv4UBiHmhoPhl3LD-u57tXqOIGhV6d20blIIOf6z_h_OC9Dq"
     "mh7SG-DUEKVPnDghlbU-WFU7kGlxjkzUa1z6kKzxK9ULbqXNzUNTSZcnOUxbNjBkHrCSyqADQDZoQRwv"
     "uw"},
    {"no issuer", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJhdWQiOiAibWFpbCIsICJlbWFpbCI6ICJhbm5hQHgudGVzdCIsICJle"
     "HAiOiAyMDAwMDAzNjAwfQ.DKCuyK-tFGvu198miZFC_VxPy0vGDfli3uxbsdGyxAhHXazD6kPprOOndX"
     "e1zsm7KMyYpB2iMdglK3Vq9A3Rq_o9V0xDxGpFOi86kJ37qCu0-1lWyBsYRdRMpxw_MWGCLA0OoNl05E"
     "8Dnuq_DIzCZj2ypZufwn-m9wwezYeLFseW6MwZEL0KM0sHbWHDGptxrjNES-a4g9VLMDpXNaQrJGPDmc"
     "R5KVZnQuBJguVWuKgmCS_Z77R5TfV5jrE7j5xufRlQNQIsbzKgAv0bHJOJ1YLKANRLVMIQlAvIxLojBD"
     "mNa6pXddsAB7KnxOXs8fipOsjQsqE8iMydGjmMEc8XNA"},
    {"another audience", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogInNob3AiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.OWkdYgzVUzBAF_9W6Yo-z"
     "Zve6sWml7c65Iny7urBtttHGX4nzofkW9uwEvnqD6A-l_KxK3YMB5vX_e_iUwfp2-r4KuV0U0idsMcS2"
     "oM5nlkcdJTcu35wG5pDImhhMjOHb3YkK8ujEcwtUPbtiPEDYMCK5H4_R0a98rc2gKwKuZPTyL3zq0uhJ"
     "kdxi-kxoC-Ov6KVRwF0C-mWi1JtqDFdh3PX7Gg5n2H_GoiUflO473FU8aK0CGhKHxV3dmjXRcJGp7RKd"
     "oWHZ67ks--20XjqwubHIawASnjSzmcNJKXiSWOnVU8yHLSfaKo-kMJG9oE3PY9l_U0E8T6VTCT9rIqcu"
     "w"},
    {"audiences of others", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogWyJzaG9wI"
     "iwgIm1haSIsICJtYWlsMiIsIDVdLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwM"
     "zYwMH0.D6zCO68Tc7_zXgKNavn1i_6VYRNa7FgVQk4Y0Na553sOj32vDt3XJo3rSy5biRk74Xh8N-I57"
     "JCGcWGLPzhZvjIiusnSYIfxXzxk_UBrEt8bfSEFO9RSIQ0SApdDYKH_U2svznS6v80viPaZLyvxVTM_r"
     "u6Su2qLFMtSzBT7uey7BPdNsPoaEM3IHnrIiz0sSmhrbypHz0qg_qwYSgNVPGdTuBmQKjbS_AWnLPXBW"
     "4vBaPfRgQv_YeTpByDKlw93UBP1CIEq9KIxqbY3KmkAt4WxOKrTmAhRH-RRltBPVhNm0782sQD2AXHqb"
     "tB6tgq0j2CebyExXF5S-7KAOJ7Nlw"},
    {"no audience", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiZW1haWwiOiAiYW5uY"
     "UB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.m9JuzqaUmFk7hHdeHKKnM3kAaTnFyTuADYG_NbNUF"
     "QTnaIdh2HC938PNOdxVjnmHqIWzLv1PihDKtagcl_CVWoreE-DJcziai1k-ZavAPXYrjsZxDkN0-T0F4"
     "cXY3FCzva16LwiS6cCFgDiF8piOyA37M7vZkGJMxe_MNzskf3wwqssbbHbAKRpjdNOjgOjDkMZSeckDh"
     "GfX-PLmr3Dp6Vepj9ROoszB7fUnIhNu6dOpQ2x9LquFSj3ON9NOiZy2MZ05pei0YMhUeQeKPWf1nSKuT"
     "-fmfQBUu14o2VurHnbAcDWaXwQJoKt5KHlLGGAPCqzIr3Z2rSfMRZwMQHQT0Q"},
    {"no user", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZXhwIjogMjAwMDAwMzYwMH0.NOgpkeFd0S58-B6FNOkSLDqNTjTCVB-DQVrPqixkUAteXv4mXHWXg"
     "v-hahMJVKtkA5QOjJRImgUu3Thg1k7z-jxaYeJBvov5Q3EDSQ_aM-fvo-9cU2aDScnjyJV8AQ5N-Ls_G"
     "x3Tgmv0IrSOgkH2EFGVhDvO-70oYlbDpewjinCZxd945agfzVVHae84VXxIuLw7xyJkrV5l3tvja1FlK"
     "4PopbBI4nqjrYKB5DFpNIxfWLNis9Mk3-Sr-mykvGv_22aANcrWwmNcNZpZH8QRSFG1CXt_bAIJHioEp"
     "z9dOKHSugOlEEW6ixzHPZogapsv6-znSMEJWOmWnMaganv5zw"},
    {"user is a number", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiA3LCAiZXhwIjogMjAwMDAwMzYwMH0.gTj8zXEvJqznBMJonw5cyGaHHIiqKDihNoms1"
     "R4tqvAJSGy9_n3pkZ3sS547I6jdq95qJDqJHgb6sA5ph7H4zQbN2ZT-uzlON7adjviNWeZ0oukucMFZB"
     "6zBFTumEHiiZv285c3qKajvD_oSmk9fbOnKVOAEkIcsywRtLY-2wMs_4JArlE9qSbUd6jX_n289LogbH"
     "7onMBy3VN2exCclu4Pl6fEcpi54MGj0zb0KsPTkwNZpTkoDn2mzCNMJ-X4Df27vqbP_K7E2g6oeAyBSC"
     "vIbejg2tdiaX9ONqXLswBl9MHRpDZcqsz-gGJT9BvdQLLhGkynRGZZ97FGV9fJM8g"},
    {"user is empty", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiIiwgImV4cCI6IDIwMDAwMDM2MDB9.Z34-Zymu-kJVZxUu6Gp2EzabQYeJsPuw8gPO"
     "VriC58GJuFnrwTOLu6g_Ft1KQ9if0lJ2VDtCyhC80vKOTcOgQ9oeeqWbcKJ_6uZ2cXW_SjGIPBIHn5kw"
     "7yEBgRRmQSVnP_4yF7k7ot3nySbMKr4TkPDa59Cj3arW-vytXLV1QKdb20J8aTcVf2qgPhFYXuB3fbrz"
     "Es1qUME84n9d1gMcajZqoa5VedKEIlcQTG4WXuJ5O2h8DCpUxprnDymZIkXZRWYX2ZeGj0o0cwvlbx9y"
     "BnxjLBsizTOlfDCwZCznD-XM76ZEs5eFuTmtOzMAzt4dPnsAdlJSS0_ob_g4CX7OsA"},
    {"user too long", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhY"
     "WFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhIiwgImV4cCI6IDIwMDAwMDM2MDB9.fbcamQnI"
     "PNMCfYxvWtdVxH1hAX9Y8UrGJICfz8zUuejXwzA1STv3OnKFvLHmaOPW81qa1fLdUtz1WjTsvsfBnTU3"
     "dBcWlFbv69sWfU_5RbGkYnlY_qnxMipo0WKJ_k044jDvAUBHcqiKqmfe66R9qkA8SO44ydqW_n9z5Rku"
     "ltRuTqwsHFLrXBJ8P1VbQBkEnjHE9qPI_dvT0fg5JKLdZoWQxKCh2Aj8y_tpgFydwhOF65mNvqrZxTfE"
     "KC4rWic2i6j-HbvZbsA6w8LlbUKuN0pV4hwgXa6TZ4oJnJhTr21jvKn84OfTNMRu1oK49Cwlg2hFPrtY"
     "1sftL93jOUQ_zA"},
    {"user with NUL", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3RcdTAwMDAiLCAiZXhwIjogMjAwMDAwMzYwMH0.Q2RZvzXDoavgT"
     "hEwxEB9fYP7k0e-MJHv8phcFyQYwaF7hU8-tspsePVGMeWQ5MdzadPRddlKX24xk9tZRSG8ZGPCHYGBp"
     "W-f9_gBuSqi12PVWKeTAeZ5_Xrqp_QsNaFlgBYkkkzbIbx5JL6uPfwFPrArIxlilYF3EKxsbCeXQ6mgf"
     "rSCzerQjGbKrnnBqT78anYTRq7WGSg_tb4PfznMW-QegjepMXIj67V1cFCqng_w4ljBabotMMg-fxV_1"
     "zDdkLDd-9kjr5rYmHD96wwVJtFKbwtMy2QWSsDl6wMypo4YZpUk4VWHhnhpE1RWokaVdOroWUxzON-vt"
     "0ixEAVNww"},
    {"address not verified", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwgImVtYWlsX3ZlcmlmaWVkI"
     "jogZmFsc2V9.E2GudQcdG-Do4squczdNyugtx_rg9NyQqSJn6yR5s4kwik8IAda_PUVlswZy3nxApueg"
     "Umf1ULR_4cMnucxbYI4NnN4ZyfB_uQYNOmAgaFxeyTeQb7XKZKVV_uCGFlV96ew4rSSSY3N8YeR7BMsn"
     "nNezBx5RPIJmn3ql3s9In2qm4IAm17hDNYx9kPlTQMYRBI7YmK-bS7MDG97w-7w19_1THNmt4N47yMM-"
     "WmYweKfKyalEGyId5VhsSE9kDOP3AjpYS_d-lpH0IGPTRUnZNp0Els_w7cEd5ZkeXuCPYfMpD3l9rnwR"
     "3-m7cB_5XNUckCjmml8_3XMEst5JbU_FJw"},
    {"alg none", -2,
     "eyJhbGciOiAibm9uZSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCA"
     "iZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0."},
    {"alg none with a signature", -13,
     "eyJhbGciOiAibm9uZSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCA"
     "iZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.eA"},
    {"alg None", -13,
     "eyJhbGciOiAiTm9uZSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCA"
     "iZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.qhz6BEWheKng6-MWpx16NlI"
     "2bKoaFiPV-gnwvXQtVSHt_ov9vjTbya7qJ-z7B1tAuRbHNCfO8JT9TyhEAkOLF8F8cFtWQ2yuM0gP9Sz"
     "juKxNJ8Wmv2VjKJ3Zalr6aMn5gd0wPwSw37CkZYdncjp7NK2f5OXbSDFjzAPGzGuy-tUTjZrdRm3iELQ"
     "ASSnxgD7eW1t978_az2yVT-HHQylLYISo4oFt2yY9JXajA6Jtxi4RBKi0HgQzdQQHMr7ETkpmDAVGUyz"
     "Co1cnVJQDaSJGTTMI6EDcjS-bHW2MfEa-yKNvkSqnYmWLpR8rB6e4tVqZHR5hHRORW_bswA2kEUWJPg"},
    {"no alg", -13,
     "e30.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5u"
     "YUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.htxYDWixIF_zVJS1RNPI1FP9o_0XbZ9yShyMHGD0"
     "WFA-PUA1ALo1RFLfSAnHZdKrai6RMQ3vpUfE0XInyGny-kp_T9ZMf8ASNtij753WT_mo4XGRZ5inNqB4"
     "Sqf9QUV6CfZd7aJh6myKnbl9Ciq8JGRBtTK6Xo4TcVSeonvlialo8arFLYEo9wKfGrsDsmRgNhZtPVsE"
     "75j_N_9P-bfNJZwugZnuXmREbEE3lfcJgtX_ordLJ95Ij-RSRNCLYldb8p5JElzwmK5yHilJZkJ1b1fb"
     "9oDQFdWGNhtuuTz5mZqcUfnt1Vjj_PIFVIV-W3YxOKkdze_tfOoKJMiadhlO8Q"},
    {"alg HS256 by the public key", -13,
     "eyJhbGciOiAiSFMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.JQo4AdBdehMOm8lpHNxzA"
     "hpmD2ZTiC2VnVpJHr3xrE0"},
    {"alg HS256 by RSA", -13,
     "eyJhbGciOiAiSFMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.CWh-N_pzI5ZQALC2LwuOS"
     "LpUVRkiFQ5lHxm3AbDanQV8YcMNbdst1Ru6DK-8Ph1jB4xSxI9O-Ln1OtfwkZ-CQ3UZEkhb6YZSIIT-E"
     "wxI6mqIXrjehIVrE_sYliBSYTfdtsl3GwNHHm6asKd1EMqIb0sD5vLBpXESeGb0gy4VZ3cq50BfogoSx"
     "DLnF_6pIZ-tbusnwPtYGcsGGyhT1vTVrrOcGMi36mnk4UOz5Rxo4jDKJUTNa9ayaZx2VXBfmKPQmpm_f"
     "aPHlxj5f7BXUVmnV7VIlvNukVkSO8XFa96KXigOAbSpiY3kLngh5_MV_SX2G2TwhFpvgeYht2wF9yBf0"
     "Q"},
    {"alg RS512", -13,
     "eyJhbGciOiAiUlM1MTIifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.nU8s3fgNQ9eDSgB4ZpOIY"
     "WtAGW0WxB8EQ7dx4E233Z_2KrmClJBRN0-hLPuDiUewK-PRA5Da0bDo8_GStbw7XOz_iS_ZPYsVdh6e7"
     "VJUTHpchh71M5GFlJgdVy2bTfW7SAz5KcrinnmQmb6sgcDK0bEynfDxFhv8q_sXQ5JJpK9I1PiVMyxw0"
     "R5SXzUMzUJ1FCavKyGzIwf6PeOP5CXb_ERawsg3p1QPZOrBsYfm2mFT9bcfAy7lh5b9M4ygEyr98xxYS"
     "OM_oTrBHM95M9Pzuy_sjkJ4cj4WI-bmk_pSnoWu8HrhjMzaxIzhwxWsEe28P6l_ixd51_rW2jhXz3WN2"
     "A"},
    {"alg of another key", -13,
     "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.OxV"
     "wK45fSBoE07-HCMgu5f5NFgCgthroo8MGrFXGQ1EePPgkOFqnsQKzQZPzVNcw_m2lRu1YzjL2Egcbjeb"
     "nCX5H-eEulOV0AUcnXa263GX2wrbTsPFD9U2ZNY_tRKF2_Pynr8mIOlIHoWdXhbJ5tDSKCxqhn2AkjfG"
     "Popc7UyFPG0E_fLRM9Mff-nIqvhF5AN5dQEaB0c-0QQaYySY1ZaNXu9NZNF1L7vXyDnjdFsccgbC7YkP"
     "GZlaWfWWRe7_AzkzqTdx0a28T0GIYYhXeNZUCPFF9vjPfrtheNfWyg-tlvUGEkjOm1VSh_ahdYimzGrE"
     "CSBFjkaxVJkoXonj0BA"},
    {"alg in lower case", -13,
     "eyJhbGciOiAicnMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.Gw_iTHIEkfZM-LxDOcRLp"
     "7w6Z4ghqE3j0sw_QsNA0HLSAMueFYhB0_N6WVQNY_VIvPc6vXJyuiYCkSNP0bFu42ggeE8G_PXndPMOH"
     "A5UBEoWpb-QnMm1PHcOxLAPgf_IV4paEjbInkRr8gpF4rfk8ydoFwycofQPK1EZ59y1c8lBF0O0y6EWJ"
     "9Hv_wTk7orN85k_8Vs1_6s2GxJ22vT23oP8NQBdNXPsYECr39Ag0ygrFldc6SLq7v5THacjyAqrzUiFp"
     "M-Ryh_auU3G8iHNwojKl65doOXq4MZKYsMWJy41ngKmENoxasnjJWArON6bYQa8PaIIxaAb4rQk6YEPd"
     "Q"},
    {"alg is a list", -13,
     "eyJhbGciOlsiUlMyNTYiXX0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwi"
     "LCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.JX9oyaLGtC_1IN7n-M4s"
     "7742P-Xz5lyhk6WA9brGZIHIN2TmS7R_WoyWh3Dwk-ywPN-HQ5AedCM5LZtK1RfDnOLPoO3eG3EfHP-C"
     "U9yNJnPFva0CQn_flngnxwu9bQJh2Q63aLw43_VTd2dG0LkLatB15o2AFOmWJzk9aG33bIl08ztaGrwm"
     "vqS7iYiv65Ux3tBCb1RZhykS9qeD7vqmsGKlhBapvzOLY_QbS3nMjoR5oY7e9Y4bXORgZvWEOO9zvayy"
     "Zz6q8cm6TvKnwm9e5pKRgc_FHtaOwKlf8m0xuG4u3e9DWwlb-Lfnrh50BzgiFoHfAF5xCWeD8m088Z57"
     "TQ"},
    {"unknown kid", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogIm5ldyJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.h9F"
     "p6igLtV8cYHGvLVwO6EJ6GEEg4eU4Od1nKVpZQ5QSlFLyTbAMGdyFC8LMulMnNWZuUIR6snRYDyvsL3p"
     "0Dlqnj3tboetIl9-02Q9e5mdYNeymHe0WdLRpJixtSbzCHM_Bs1TUzYN6Pd_Nj1kc4BIHJDNvw_QcX57"
     "-Sbjg98hlnRdWpniTNS_dkMGY2WFhBMWKrKGBDT4U_gIr5ZyswOGvyZ8nd2zhpgkeVVQfAUBSCR-WXbt"
     "9zVuKhZWdaU1hboGYY0Zi6iJkpd_w1oJ2sR45lBUhL-pbk12AjjMNEyrc4GQHpXHbTGuW6iLM2Ow_W4z"
     "xUHLFkzUKJEh_WV2qUw"},
    {"kid of another key", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogImVjIn0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAi"
     "YXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.Hg5-"
     "8Fw_cNXOstc4qvnM28RNP92-sJfVSUhs5EOFs_CzDRhYVo8xfZYE7g2YuI3l8w9HamVJjy1et2L1oXdA"
     "7DKkAwD97TqfE2RopnLdPqAClqX8NwE4R3QVfLdGOSAQXA23pr5pjL0MeLWkGJSCuoCUw9vUS1G_HfD-"
     "kJAnsdwwt4SsYNjmT8H4jauinb9BRMoFb-8-zRd5aSdb5oeWS2Z6uYWkeqYgKEQhtM2Hf4Z3_QmGk6yW"
     "MRtE0nmcrZPf7KCzvuqtLc6VtwhM1B1oHM2219aWZw3Hz8zfaYRX5yEDuurSfhJEbcu7Hnm8WFUWMf6I"
     "VoOfI0u0XhBHEoO3fA"},
    {"kid is a number", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogNX0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVk"
     "IjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.blxa4tIi"
     "ZIy2ARzGsDpqJcUaab7QUiE11aZEjGqK1z22Kx_XmrORR_HvB3Et9jI_AqZpNymGsuKv7zW4wq46PUhQ"
     "XXafYVkS2wTvy671nqUPtjEREZ-vY-BMQc23ATYBSqTmYPWglfg933wFbcc3ukOi6qbKcx8SWhVEvndP"
     "ig_aQRKx1uhcsgPqlAOg4FQ2DQpMRgGSfwh-fTNSRYoxx9fMGnFzR0bQUsMFJnfv90jCv1fwS1u3RysJ"
     "2DyN5CwPx45RxgF0GlojF8dHKngkahHSK-T2liWZV5WY5yZeUxb500dafTvl9zYLGltI8phMaAHiy-uB"
     "2gjp4qi29KCEqA"},
    {"kid null", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogbnVsbH0.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAi"
     "YXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.KT51"
     "Ppwf13-1smtZeKl6DQD1kzdTZYfWgdCW2_hTecJ_OfVGjPTV3W6Tt2Z8D0ZETDo1-v58-EJkhmiuqAo7"
     "pMsB_p-24e7LWIxhzHDqruNMQiW3beyxd3wsf_jKFr9B-dNgxqTp4hWH-_qmMR45KbIAAoX51SMluqAV"
     "1bMfRFmWxXlLESTcibB25IqxXIV-Py7ujHJqhzJi228ikOtBygBBUuiInovhPWIgtcvO41pGydeYJqEU"
     "tcUwYCIAVk9IqKelA_JyJK0HAxPBMBu7xfzKyFvSfzpKeJm7ZRE7keQC4jTD0pBkzbtBZKuLG-YEUhe6"
     "aWs9MHvLjWl1uI5Upg"},
    {"crit", -13,
     "eyJhbGciOiAiUlMyNTYiLCAiY3JpdCI6IFsiZXhwIl19.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3Q"
     "iLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0"
     ".gGfb09SatfGxk3Bzt_N26--j3_h8j3rYXkRW0J1o2qyAesPtwZwXN5eWnaZpkUowojm_YbrorbCUTpw"
     "aT9TrKKSeNCwXR5Hlcj8RnqsOIMqlHc9KVeXMK2Bwt4xwi18enQb71HTrdMXDl9LSPH1Qm46txkDdIsi"
     "e2icyUIbIOMr15yKgcxye2VPPtOSdJoOlMmkLKP4ECtsmbsxLB3LkKwUn1IdjoaFCPkaR79uJdsbUcbu"
     "_3HiX_WkGXqBjds5VewQcmpKs1UqPapq4dBfF-GRc9dFmpBo37THtm5AIJ4T1SW_p_9J2OzobY71wLII"
     "AT8ewFP1ZseQDDnZOQ-899Q"},
    {"key in the header", -13,
     "eyJhbGciOiAiUlMyNTYiLCAiandrIjogeyJrdHkiOiAiUlNBIiwgIm4iOiAieWk2NDJrMjVGeno5blo2"
     "WHJYUUt4ZUZXSTZqUTZWaDVlaWxuYm40Vml3TnRRdWg2aUF3UHZwYzdEb3NHRXBscUVIeHJ0aDZVdlZj"
     "MmNZMm9WdzN1TzJNVXJLRW1VZUQ0YmFESGFWTGFac0V3WUlGUmNaNFIwVEcyLWVKOENoaGQ0WnRCa0NG"
     "X0xrTnJrN3I1SkFjYl9MZmtvTG9iNFhUcmJ4cEp3MG9qTzh4bHRZNkUtbHRnSHRDYVB4dHA0Y3NlaXJ0"
     "RlhvTUFCS2hBejFHMzlETjM3by1abUd5aThRcHZRbS1kUXJsVVdRWEtWdTJDMG9Hd3dibFVVUUcwT2N2"
     "WHloT0ljVGNWY3JOV2tYRDZiNHRhSU5lUjFHVU0yUldSMHl1LUpTWi0xVDhBVXBGdk5UT05mbzUxZk4z"
     "eUhVRkEzV1I3MGlJNkh5NjNoWTd2eE0tc1Z3IiwgImUiOiAiQVFBQiJ9fQ.eyJpc3MiOiAiaHR0cHM6L"
     "y9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogM"
     "jAwMDAwMzYwMH0.biMvM_dkhiK5seTF9KMhXjAJC1I-k6a7d80dX91_-2E1dHOACDGnb00K-NFHrwQs1"
     "4F1P76pnKlxyMSCDdQ0E-NtWRUc41rWj_h6nVphgxDdJ7ZvT1I2uQsU0Swjz-ZnxENLVaqh1VzM0Tnqx"
     "hdcGGIfuqlVFtCYA5vxMG1wEUC7O-viG7GpfwA5NnfiET50Y7jMaW-5bht0B_weVe7g9palK282mJXBR"
     "xYU9KrW8zv_yEm_AtWsex4kNtN3lk1cOVKzQASwyGo8nyvguSMjtqptkIOA39VNaINzYNcQd2Rl7PwsI"
     "k3MzdcDcJKRWGEDNMYpItOIdpVqDtws782lLA"},
    {"signed by another key", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.qcqCcMopChh2ER36FHod1"
     "9zAqnVaROFAe8OoFkw5Yn6rnXVkMYBBc761IGXckeOjQNQ-pD0Oykuelm58CJRs8-B9qdv-zU4D4y7mE"
     "7e1n_7b3ZiyX72NATh13Z-isG8EOkn-S_ULJld0XYjAFTTKrqY720fV78TmPeCFWjIhqe4E_hkfAI8ws"
     "xDWZTwCO_WR-pE7Yk5vpIlkqt-kJHdHCtF6vpzIT3qSYI8IaNPdK2WproFfrZgm8l86Vz5WtRKqZl7JB"
     "1GDSqz8TMniW1zyUFyBzoU6WOm1DouwR-ZSHrcJH8RYO0yKdZ0vvQci_Uq4EyZE8aVJMm1bRQIx39Xq5"
     "Q"},
    {"payload swapped", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYmVydEB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.R8jz2XY1kJqWu4FVwJpaw"
     "bN3fd340TDp0py406X_hcrv9qurO1zgs-1VuNS-JlM1eNPFgACD7N0zsTsgbN_ezahjbkTLz6qZhD4a5"
     "M0aVfHHKD3uCFgyvQAIY3OiNgIIuV4EAyNy1whuKsS6xq14mKITbqi31R04i5ZdDM-7D7f4vpYey9cTS"
     "yXLr2TnrIzvHYP5n_omxz_TOz_GT9F_EvdE4tIy8KJgeEcGVWoydfg5A0wSLo95qHH20xRzzE4vM_Pmd"
     "LTHHZJCdZISaftZNPhIuxmejSSnEG6iaCH-f91nXJ9SjsokdHWUb8ZjRphnu0cnfeQ8TMxl6G6PtRVHo"
     "g"},
    {"signature cut", -13,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.ZFX"
     "_E8yR82dkkqkroJDNyX7_eidLrEUxHBLJO75PJm7g8AEa6DRAxDismSNlBl8eA_jh7hTG3aWHkWRtJb0"
     "3sinJsHPB8yizwf1HhdCd2Lpyu_mvyzE7raEHfcYwDlVlf_Ea6HCWqK3OvRARv_7jl5cnYKOkkx8PC-S"
     "2Iqxs6Ci47egIKxlLcir4I1YNQBEWr1RBCZjqxELr4bYVugicSyxvixms6MVBz5az97_ANUzBP6E5kAC"
     "jpt6pLJYqb44B30KkXes49n68GVyUKbYtIQf-VuHanCVeUyNyTtiiNfDAVqFuNF-fA1mf84Q2kL4dTCq"
     "XhOhBD2H--JxQxZIX"},
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
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.MEQCIAQBhkxI4v54qiD6E"
     "iWzX1XlSYe9XT6eXnytsusZgtmyAiDo2tyZDX8gGg78nCiPda8SnaP1GrOEYyU5OcJC9QSPsA"},
    {"EdDSA of zeros", -13,
     "eyJhbGciOiAiRWREU0EifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.AAAAAAAAAAAAAAAAAAAAA"
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    {"payload is a list", -13,
     "eyJhbGciOiAiUlMyNTYifQ.W10.mSUXCmiYLGqU3FBj2Xvz_dhMWAx0hBPfQ9uZyokLotZ9gXj-MGCIA"
     "8SnOZ6mAau8-Yfa6DnQAaWXXu_tLjqOYz1hHubkUG97D8MID80SJR6GHGKUAu8KkmjSxT1UCQ0iiB41h"
     "CPwhiQdrTe2eVQz_4946jceeZ3Es7okiBRSRdOCih1MQjkW1C_9iG6YRDo8vQOiZNERbz58SwU4Idf0T"
     "9a1a507zf6h7qNlJmX3JTgxyDCvRZw8wDTLji-MiFFZ-yRtYWLssqEvK6l0yH1yRtEOrn7s_bYHpriar"
     "Lk70VIsJPPUYCegbrzONpu3cMB6qhwYJsgsjmuMYK6tEvCSBQ"},
    {"payload empty", -13,
     "eyJhbGciOiAiUlMyNTYifQ.IA.ihHcUzvBztGZvinFD8YAu9a16N0AY6kBbLCR_U_8pHTl6zc6hH16Mb"
     "dC55EYo9ViIBlaE7_3nFX9EVAmKhsHq1e4lzjHVPvFzxO_621PPXcPsjbORnWc5EqMaki52XctavsPl7"
     "7qWdwghY_RqWvKwX_7sad_NEXMk_o19BCDQxji6rBbanbXlW95QnFMygECmc2-2smbhOJTuVQ1aWB2NM"
     "oiHdmQvsAjlIli3DcxDlEbQyLzjAhZrTI3rNCWvL5Fm1yMnWheBfeVH6HtbadzXxPqkE31t4AS3Ahoeg"
     "LbPFd25gZNBnuI42XaSHuoA0BIO1Hnlj9AB1cHmdfU4sCrpA"},
    {"payload is no JSON", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJleHAiOn0.BdhUZUr0AjLaSYNOOqDW_KTYDlbKa2cE37tqK2nf7r9pL"
     "yXsQmH3z2LM7wmAcbj8edifJUuTDYzffGWRC-ijwHa8WHxGicsam3KrTfcR5zbwFKUEMMkm5U_Ve9aL2"
     "OK79pZGw-y00eV_ro3w-GrVp4799eLoFgejeylzPVfrguhEFtcteS2WkjsKecrneQm8hcAvduBek5bxx"
     "XYSt_Y2mYfpk16JgEKxPOpRyYeDmYXcbStEdCxjx8I7AEvcYWwb6UCY0gRpVdl4QTqeSuEtTeOQFpm8T"
     "KJkJp-Wm-f4mNTEijRigrSCNnPV2kFDo6rkafK7x86Yix0ORW7n_wgQ0Q"},
    {"payload has a name twice", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMCwiZW1haWwiOiJiZXJ0QHgud"
     "GVzdCJ9.lGMa8iH_9MJlLk8oYjberzGYZTaFmEG4h3L_ISTr3QZwBG3_N9lBs4Mlbvam2eSBb4dSMASq"
     "VjilMj7PEwIVFZiEwpivteVkFQnDOF_zMUVPbzmTrjx4p-A5WbFY0qV8z-1F9o4p0ETMAEarDcD-LAta"
     "bkEGzKdY7gT61xG7GjcopDdinCHGhaj2l5tdSlvaXnF3M1mR2gqjowIW1Lfdd3RBcQREx5F7v7RfJkQB"
     "CIMw0eDV-ZfqUn8lhqxibdhCos6RJ3QaUPBBVUz2uC2RKF6CyrjYr3Cw_vBfW501dVQWC8cUh609ycDA"
     "6F-AS2Y-m6lHeeysBjZYxjvLXjoPQg"},
    {"payload is deep", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiY"
     "SI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiY"
     "SI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiY"
     "SI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjoxfX19fX19fX19fX19fX19fX19fX19f"
     "X19fX19fX19fX19fX19fX19fQ.Dx8JYkRhHngk1KiGH_jQsk8cVoHLdKTgaUegC9hKbRw2vk5AxkgGVq"
     "xSyl5bphq2AfCYjsTnrtByX5bJQPyKLQM4OJ7DJd7b2xJbanUJUEnib-MbhyA4FxHmRs4N2uFS4mk3H6"
     "mu08FigpK3v6HTK1RHgxGI8iF90p8kf9akfzizrQ3JUUu3d9M9vX7os51Sv15qf3bREAmuqQjY7XZdCg"
     "GTuo8IqwAuDY5CeCpesiku7gBZ3FhJgBCFB-HZ_iixk2eXDzNDBX9R2sZmWatLK6t7Kp5SlQlIJoksZ_"
     "JedexujKn-HWXhBaaQC3xXcbwk163RFNTU1pcIWNv5LHRehg"},
    {"payload is not UTF-8", -13,
     "eyJhbGciOiAiUlMyNTYifQ.eyJlbWFpbCI6Iv8ifQ.hD6q8b4fw-HJp5d0HF5zTZHwDJThFAMAaApOPG"
     "rKGOr_8hwvQlv_gNuLx0bwSyJxES9oSl8yrbpVGMxWYwa15vG8E1fqTFr4mRYPySdlZ7BIAO8U9lxRXT"
     "vjYHlNV5uOmUMh7KvBj7QpyWh4nQQIzOu_d87QMYccqoV9dukvN41Zz97XBHK_JMTTq3duXA_WPnJtJ7"
     "MV0p1W0bQzZU7NslxH_Ma1hixZr3-DRwK4O1nM_kKuDdVr-evd0uBK3qJ4ssNeRua2AVDwidxg0p6URy"
     "8G3T1hSlt4RnezXNT-NPfS85I_EZ-oJ59G7-hJSqm3RHxytXCNO6RlVc5a5M6H_w"},
    {"header is deep", -2,
     "eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6"
     "eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6"
     "eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6eyJhIjp7ImEiOnsiYSI6"
     "eyJhIjp7ImEiOnsiYSI6eyJhIjoxfX19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX19fX19"
     "fQ.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uY"
     "UB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.BK5qrvJEylP04LTRaOjqDNrJ4BEPXXmjBaxR3YQcw"
     "SFqEtt3vqZM0M3BpuXoRF1ps82ua0JRQCWJxmndZtfD3NjwqSkrSvJ0tVvkXg-hDQNjqjX4Hr0O847Ot"
     "fmba2ymhmX_zqUO-JUIUB2u1wZIZu5xIBvT6VoZetbvTs1DN_2o34mMv0AOo66udizowJmDaE84KDCUZ"
     "JIl69KNiM3uq8I4QNr7dRIstnpeD-g5sNjmJiipdIdpNAo2BlGCCAOZZ24Sfw221Q7CiPJICIxC5020Z"
     "gxpRNwYTiLTyJ_Uqa5Uvxm4Jpe6bSSJ710NSj2pbs3sSb4_0HUI50byYa15Lg"},
    {"header is no JSON", -2,
     "aGVsbG8.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiLCAiZW1haWwiOiAi"
     "YW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.HYYszIyXDqzBP9cHespXCosZhLk1cRG0K0_9"
     "cKM98ij3Z82nU2Ci2y6agF24ujjmf_CYxq-XmBuqBfJD3V5eiktX5t5LIQLbCqkNIGueaV-yf4xpMKo9"
     "-5DJgTQNzrsBYOX5Pm5FlY7Ew8a8OGGPSaQ1qr1iK9nICXedZeIP5a5ic7mAp46htLB2Os6azV4ENbuT"
     "W1i09mKnTZo6aX0fLf0cAJxW2UadWIp_2JfeW3edYHTmMrP6iKSFPOVS8aQjVRbqvP5T7XxLlu4Wq4Qd"
     "nkGN0fB8Mr0JsZsKbhg1jTnE8j5upIJ7NvxMvc1ka0tnVGf6oF_YDM-oUOcqvrTEoQ"},
    {"header with NUL", -2,
     "eyJhbGciOiJSUzI1NiJ9AA.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCAiYXVkIjogIm1haWwiL"
     "CAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.HKci8wruuV3pVQkUAAiNr"
     "PyTBTYWIfU_eErRR1pdKLorTO-EepTurWRVT51lOZKMZIFfttNYZn0NLtVKSQqtRaxTFKwUlQyqgBxb2"
     "kDuBWcI5F5ZlWMukCfAdXkHiY4ZJHq0TMhB7fp3Z3AJB-ywkfdik-mBEHX1ZeLa66ETJb1qWTLDm1kQj"
     "SMsUldaYNDklanaOJb8UT8tV5Z56FDTJbHm8Jwi-rv-fdVJC4Nd72fQoTApQDx7ECuzLkhXCgnshz0Iv"
     "PnNxm92mXbWd_Es-Fdm3OzVRKyAkkTi-MhvZ13eVDQUgAZeqWONke0inf8LFPnrqCzhRQ6VkFBDIOrNR"
     "w"},
    {"padded", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.ZFX"
     "_E8yR82dkkqkroJDNyX7_eidLrEUxHBLJO75PJm7g8AEa6DRAxDismSNlBl8eA_jh7hTG3aWHkWRtJb0"
     "3sinJsHPB8yizwf1HhdCd2Lpyu_mvyzE7raEHfcYwDlVlf_Ea6HCWqK3OvRARv_7jl5cnYKOkkx8PC-S"
     "2Iqxs6Ci47egIKxlLcir4I1YNQBEWr1RBCZjqxELr4bYVugicSyxvixms6MVBz5az97_ANUzBP6E5kAC"
     "jpt6pLJYqb44B30KkXes49n68GVyUKbYtIQf-VuHanCVeUyNyTtiiNfDAVqFuNF-fA1mf84Q2kL4dTCq"
     "XhOhBD2H--JxQxZIXJA="},
    {"four parts", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.ZFX"
     "_E8yR82dkkqkroJDNyX7_eidLrEUxHBLJO75PJm7g8AEa6DRAxDismSNlBl8eA_jh7hTG3aWHkWRtJb0"
     "3sinJsHPB8yizwf1HhdCd2Lpyu_mvyzE7raEHfcYwDlVlf_Ea6HCWqK3OvRARv_7jl5cnYKOkkx8PC-S"
     "2Iqxs6Ci47egIKxlLcir4I1YNQBEWr1RBCZjqxELr4bYVugicSyxvixms6MVBz5az97_ANUzBP6E5kAC"
     "jpt6pLJYqb44B30KkXes49n68GVyUKbYtIQf-VuHanCVeUyNyTtiiNfDAVqFuNF-fA1mf84Q2kL4dTCq"
     "XhOhBD2H--JxQxZIXJA.e30"},
    {"five parts", -2,
     "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiaHR0cHM6Ly9pZC54LnRlc3QiLCA"
     "iYXVkIjogIm1haWwiLCAiZW1haWwiOiAiYW5uYUB4LnRlc3QiLCAiZXhwIjogMjAwMDAwMzYwMH0.ZFX"
     "_E8yR82dkkqkroJDNyX7_eidLrEUxHBLJO75PJm7g8AEa6DRAxDismSNlBl8eA_jh7hTG3aWHkWRtJb0"
     "3sinJsHPB8yizwf1HhdCd2Lpyu_mvyzE7raEHfcYwDlVlf_Ea6HCWqK3OvRARv_7jl5cnYKOkkx8PC-S"
     "2Iqxs6Ci47egIKxlLcir4I1YNQBEWr1RBCZjqxELr4bYVugicSyxvixms6MVBz5az97_ANUzBP6E5kAC"
     "jpt6pLJYqb44B30KkXes49n68GVyUKbYtIQf-VuHanCVeUyNyTtiiNfDAVqFuNF-fA1mf84Q2kL4dTCq"
     "XhOhBD2H--JxQxZIXJA.e30.e30"},
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
                   "\"Mxz2kI9t5lDwoF7mSnC3OWUoa_zqM3y418cNhGicuX0\", \"y\": "
                   "\"Asx1FxnfaGu3D5eHNFKEgii5nIsIwXbfSHS6pSAgx3I\", \"kid\": \"ec\"}]}"},
    {"no key for",
     "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
     "\"Mxz2kI9t5lDwoF7mSnC3OWUoa_zqM3y418cNhGicuX0\", \"y\": "
     "\"Asx1FxnfaGu3D5eHNFKEgii5nIsIwXbfSHS6pSAgx3I\", \"kid\": \"ec\", \"use\": \"enc\"}]}"},
    {"no key for", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"},5]}"},
    {"below 2048",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"o2-0Y0fKywuPSBVEBN7TCYcHGxV3GeCkszBGKmjavUG6VCIAp"
     "LH_ORftZv6Ix4Apyb_LWeZmf1jfbcqlSS69czdsaxrO_auNLQG4Xr-TZ2W_Yi8dlyDwAXwwa-dwYVzYj"
     "AlVNNWRcwIXgIDzizgwNc6Jsoalk86ZnKggMZJki8k\", \"e\": \"AQAB\"}]}"},
    {"not on the curve", "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
                         "\"Asx1FxnfaGu3D5eHNFKEgii5nIsIwXbfSHS6pSAgx3I\", \"y\": "
                         "\"Asx1FxnfaGu3D5eHNFKEgii5nIsIwXbfSHS6pSAgx3I\", \"kid\": \"ec\"}]}"},
    {"32 bytes", "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": "
                 "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", \"y\": "
                 "\"Asx1FxnfaGu3D5eHNFKEgii5nIsIwXbfSHS6pSAgx3I\", \"kid\": \"ec\"}]}"},
    {"missing", "{\"keys\": [{\"kty\": \"RSA\", \"e\": \"AQAB\"}]}"},
    {"not an RSA key",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"rz7MSUaj_bJbCUIJfsSmobvPn4nSOpt5eIFQQfFILdgb4hxn_"
     "VlJaXwLB73I_1tEsxNGuwChkxQpFfkfm5VcNWey7xKyE2nWkjgfoVdeE7uCrU7Chc4DhXFQkurALlnLW"
     "awrx6x4gE2ka6KzO4P4vI0opFOuJXnkbEswLQA7Y3bGIPHepbiBgk9yIiGsnuV7_T2ppMLLNfym6vv3m"
     "nxictRKEdZLcH7A6uMVYaRVuJDSOdRdCbQ_YHQLbfaZoJJWLV8lhggypJxNk_TMoxRjCTNmsYb8ojqeY"
     "J62PSmHJ3xV8kMtBXzDrylESvnxPvBcqgc7vpbqk5eP5onngmRtlQ\", \"e\": \"AQAA\"}]}"},
    {"not an RSA key",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"rz7MSUaj_bJbCUIJfsSmobvPn4nSOpt5eIFQQfFILdgb4hxn_"
     "VlJaXwLB73I_1tEsxNGuwChkxQpFfkfm5VcNWey7xKyE2nWkjgfoVdeE7uCrU7Chc4DhXFQkurALlnLW"
     "awrx6x4gE2ka6KzO4P4vI0opFOuJXnkbEswLQA7Y3bGIPHepbiBgk9yIiGsnuV7_T2ppMLLNfym6vv3m"
     "nxictRKEdZLcH7A6uMVYaRVuJDSOdRdCbQ_YHQLbfaZoJJWLV8lhggypJxNk_TMoxRjCTNmsYb8ojqeY"
     "J62PSmHJ3xV8kMtBXzDrylESvnxPvBcqgc7vpbqk5eP5onngmRtlQ\", \"e\": \"AQ\"}]}"},
    {"kid",
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"rz7MSUaj_bJbCUIJfsSmobvPn4nSOpt5eIFQQfFILdgb4hxn_"
     "VlJaXwLB73I_1tEsxNGuwChkxQpFfkfm5VcNWey7xKyE2nWkjgfoVdeE7uCrU7Chc4DhXFQkurALlnLW"
     "awrx6x4gE2ka6KzO4P4vI0opFOuJXnkbEswLQA7Y3bGIPHepbiBgk9yIiGsnuV7_T2ppMLLNfym6vv3m"
     "nxictRKEdZLcH7A6uMVYaRVuJDSOdRdCbQ_YHQLbfaZoJJWLV8lhggypJxNk_TMoxRjCTNmsYb8ojqeY"
     "J62PSmHJ3xV8kMtBXzDrylESvnxPvBcqgc7vpbqk5eP5onngmRtlQ\", \"e\": \"AQAB\", \"kid\": \"kkk"
     "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
     "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
     "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
     "kkkkkkkkkkkkk\"}]}"},
};

#endif
