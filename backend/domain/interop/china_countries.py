"""China customs' numeric country codes, which CEB603 and other parcel lists use.

Source: General Administration of Customs of China, code table of countries and regions, numeric edition. Parcel lists
still use it, while other declarations use ISO 3166 letters since 2018. It was read on 2026-11-28 from a published copy
with names, and its numbers agree with those of a second copy. Numbers for a part of a country, a former country or no
country (Ceuta, the Society Islands, 701 unknown, 999 neutral packing) have no ISO 3166 code and are left out. The
numbers are not those of ISO 3166, where 702 is Singapore; here it is an international organisation.
"""

_GROUPS = {
    "1": (
        "101AF 102BH 103BD 104BT 105BN 106MM 107KH 108CY 109KP 110HK 111IN 112ID 113IR 114IQ 115IL 116JP 117JO 118KW "
        "119LA 120LB 121MO 122MY 123MV 124MN 125NP 126OM 127PK 128PS 129PH 130QA 131SA 132SG 133KR 134LK 135SY 136TH "
        "137TR 138AE 139YE 141VN 142CN 143TW 144TL 145KZ 146KG 147TJ 148TM 149UZ"
    ),
    "2": (
        "201DZ 202AO 203BJ 204BW 205BI 206CM 208CV 209CF 211TD 212KM 213CG 214DJ 215EG 216GQ 217ET 218GA 219GM 220GH "
        "221GN 222GW 223CI 224KE 225LR 226LY 227MG 228MW 229ML 230MR 231MU 232MA 233MZ 234NA 235NE 236NG 237RE 238RW "
        "239ST 240SN 241SC 242SL 243SO 244ZA 245EH 246SD 247TZ 248TG 249TN 250UG 251BF 252CD 253ZM 254ZW 255LS 257SZ "
        "258ER 259YT"
    ),
    "3": (
        "301BE 302DK 303GB 304DE 305FR 306IE 307IT 308LU 309NL 310GR 311PT 312ES 313AL 314AD 315AT 316BG 318FI 320GI "
        "321HU 322IS 323LI 324MT 325MC 326NO 327PL 328RO 329SM 330SE 331CH 334EE 335LV 336LT 337GE 338AM 339AZ 340BY "
        "343MD 344RU 347UA 350SI 351HR 352CZ 353SK 354MK 355BA 356VA 357FO 358RS 359ME"
    ),
    "4": (
        "401AG 402AR 403AW 404BS 405BB 406BZ 408BO 410BR 411KY 412CL 413CO 414DM 415CR 416CU 417CW 418DO 419EC 420GF "
        "421GD 422GP 423GT 424GY 425HT 426HN 427JM 428MQ 429MX 430MS 431NI 432PA 433PY 434PE 435PR 437LC 439VC 440SV "
        "441SR 442TT 443TC 444UY 445VE 446VG 447KN 448PM"
    ),
    "5": ("501CA 502US 503GL 504BM"),
    "6": (
        "601AU 602CK 603FJ 606NR 607NC 608VU 609NZ 610NF 611PG 613SB 614TO 617WS 618KI 619TV 620FM 621MH 622PW 623PF "
        "625WF"
    ),
}
"""By the continent, which is the first digit: each number with its ISO 3166-1 alpha-2 code."""

CHINA_COUNTRIES = {entry[:3]: entry[3:] for group in _GROUPS.values() for entry in group.split()}
"""ISO 3166-1 code of two letters, by China customs' number."""
