"""What compat.py sends, and what may differ in the replies."""
import re

# What no proxy can answer alike. Each is used only by the cases that name it.
MASKS = {
    # A connection's number.
    "hello_id": (re.compile(rb"(\$2\r\nid\r\n):\d+"), rb"\1:ID"),
    "integer": (re.compile(rb"^:\d+\r\n"), b":N\r\n"),
    # Of CLIENT LIST and INFO: everything that tells about the process and not about the session.
    "client_row": (
        re.compile(rb"\b(id|addr|laddr|fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|"
                   rb"oll|omem|tot-mem)=[^ \n]*"), rb"\1=*"),
    # Pannier also knows subcommands of servers newer than the one behind it.
    "client_help": (re.compile(rb"^\*\d+(\r\n\+CLIENT [^\r]*\r\n).*(?=\+HELP\r\n)", re.S),
                    rb"*N\1...\r\n"),
    "bulk_length": (re.compile(rb"^[$=]\d+\r\n"), b"$N\r\n"),
}


class Step:
    def __init__(self, data, then, on, bytewise):
        self.data, self.then, self.on, self.bytewise = data, then, on, bytewise


class Case:
    """`instead`: a reply that is as good as the server's own, with the reason beside the case."""

    def __init__(self, name, masks=(), instead=None):
        self.name, self.masks, self.instead, self.steps = name, masks, instead, []

    def ends(self):
        """The connection is closed by what the last step sends."""
        self.steps[-1].then = "close"
        return self

    def step(self, data, then="sync", on="a", bytewise=False):
        self.steps.append(Step(data, then, on, bytewise))
        return self


def command(*arguments):
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def commands(text):
    """One command per line, words split at spaces."""
    return b"".join(command(*line.split()) for line in text.strip().splitlines())


CASES = []


def case(name, text, **options):
    """The lines of `text` as one pipeline, replies compared."""
    one = Case(name, **options).step(commands(text))
    CASES.append(one)
    return one


def raw(name, data, **step_options):
    one = Case(name).step(data, **step_options)
    CASES.append(one)
    return one


def closes(name, data):
    """Something that ends the connection: a step that reads to its end."""
    return raw(name, data, then="close")


# --- Handshakes -----------------------------------------------------------------------------------
case("PING and ECHO", """
    PING
    PING hello
    ping
    PiNg x
    ECHO bag""")
raw("PING and ECHO with every byte", command("ECHO", bytes(range(256))) + command("PING", b"\r\n"))
case("PING in RESP3", "HELLO 3\nPING\nPING x\nECHO y", masks=["hello_id"])
case("SELECT", "SELECT 3\nSELECT 0\nSELECT 15")
case("SELECT of a bad index", """
    SELECT 16
    SELECT -1
    SELECT 99999999999
    SELECT 99999999999999999999
    SELECT one
    SELECT
    SELECT 1 2""")
case("a bad SELECT keeps the db", "SELECT 2\nSET k two\nSELECT 99\nGET k\nDEL k")
case("HELLO", "HELLO", masks=["hello_id"])
case("HELLO 2", "HELLO 2", masks=["hello_id"])
case("HELLO 3", "HELLO 3", masks=["hello_id"])
case("HELLO 3 and back", "HELLO 3\nHELLO 2", masks=["hello_id"])
case("HELLO of other versions", "HELLO 4\nHELLO 1\nHELLO 0\nHELLO -1\nHELLO 22")
case("HELLO garbage", "HELLO wurst\nHELLO 3x\nHELLO 3 WURST\nHELLO 3 SETNAME\nHELLO 3 AUTH\n"
     "HELLO 3 AUTH default")
case("HELLO with a name", "HELLO 2 SETNAME till\nCLIENT GETNAME", masks=["hello_id"])
raw("HELLO with a bad name", command("HELLO", 2, "SETNAME", "a b") + command("CLIENT", "GETNAME"))
case("AUTH without a password set", "AUTH secret\nAUTH default secret\nAUTH nobody secret\nAUTH\n"
     "AUTH a b c\nPING")
case("HELLO AUTH with a wrong user", "HELLO 2 AUTH nobody secret\nHELLO 3 AUTH nobody secret\nPING")
case("QUIT in a pipeline", "PING\nQUIT").ends()
case("nothing after QUIT", "QUIT\nPING\nSET quit-k v").ends()
case("RESET", "CLIENT SETNAME till\nSELECT 3\nRESET\nCLIENT GETNAME\nSET k0 v\nSELECT 0\nGET k0\n"
     "DEL k0\nRESET x")
case("RESET leaves RESP3", "HELLO 3\nRESET\nHGETALL none", masks=["hello_id"])
case("RESET leaves MULTI and WATCH", "WATCH k\nMULTI\nPING\nRESET\nPING\nEXEC")

# --- CLIENT ---------------------------------------------------------------------------------------
case("CLIENT GETNAME without one", "CLIENT GETNAME")
case("CLIENT GETNAME without one, RESP3", "HELLO 3\nCLIENT GETNAME", masks=["hello_id"])
case("CLIENT SETNAME", "CLIENT SETNAME till\nCLIENT GETNAME\nclient setname x\ncLiEnT gEtNaMe")
raw("CLIENT SETNAME to nothing", commands("CLIENT SETNAME x") + command("CLIENT", "SETNAME", "")
    + commands("CLIENT GETNAME"))
raw("CLIENT SETNAME with bad bytes", command("CLIENT", "SETNAME", "a b")
    + command("CLIENT", "SETNAME", b"a\n") + command("CLIENT", "SETNAME", b"\xc3\xa4"))
# Redis knows it from 7.2 on; the clients that send it take OK and the error alike.
case("CLIENT SETINFO", "CLIENT SETINFO LIB-NAME x", instead=b"+OK\r\n<end>")
case("CLIENT ID", "CLIENT ID", masks=["integer"])
(case("CLIENT INFO", "SELECT 3\nCLIENT SETNAME till", masks=["client_row", "bulk_length"])
 .step(commands("CLIENT INFO")))
(case("CLIENT INFO of a subscriber", "HELLO 3\nSUBSCRIBE c d\nPSUBSCRIBE p*",
      masks=["hello_id", "client_row", "bulk_length"])
 .step(commands("CLIENT INFO")))
case("CLIENT LIST with an id of nobody", "CLIENT LIST ID 999999999\nCLIENT LIST TYPE wurst\n"
     "CLIENT LIST ID\nCLIENT LIST ID x\nCLIENT LIST WURST")
case("CLIENT KILL of nobody", "CLIENT KILL 1.2.3.4:5\nCLIENT KILL ID 999999999\n"
     "CLIENT KILL ADDR 1.2.3.4:5\nCLIENT KILL\nCLIENT KILL ID x\nCLIENT KILL TYPE wurst\n"
     "CLIENT KILL SKIPME maybe\nCLIENT KILL WURST x")
case("CLIENT UNBLOCK of nobody", "CLIENT UNBLOCK 999999999\nCLIENT UNBLOCK x\nCLIENT UNBLOCK\n"
     "CLIENT UNBLOCK 1 wurst")
case("CLIENT NO-EVICT", "CLIENT NO-EVICT on\nCLIENT NO-EVICT off\nCLIENT NO-EVICT maybe\n"
     "CLIENT NO-EVICT")
case("CLIENT PAUSE with bad words", "CLIENT PAUSE\nCLIENT PAUSE x\nCLIENT PAUSE -1\n"
     "CLIENT PAUSE 1 wurst\nCLIENT UNPAUSE\nCLIENT UNPAUSE x")
case("CLIENT TRACKING with bad words", "CLIENT TRACKING\nCLIENT TRACKING maybe\n"
     "CLIENT TRACKING on OPTIN OPTOUT\nCLIENT CACHING yes\nCLIENT TRACKING off\n"
     "CLIENT TRACKING on REDIRECT 999999999\nCLIENT GETREDIR\nCLIENT TRACKINGINFO")
case("CLIENT REPLY OFF and ON", "PING one\nCLIENT REPLY OFF\nPING two\nNOSUCH\nGET\n"
     "CLIENT REPLY ON\nPING three")
case("CLIENT REPLY SKIP", "CLIENT REPLY SKIP\nPING one\nPING two\nCLIENT REPLY SKIP\nNOSUCH\n"
     "PING three")
case("CLIENT REPLY SKIP before data", "SET rk v\nCLIENT REPLY SKIP\nGET rk\nGET rk\nDEL rk")
case("CLIENT REPLY OFF around data", "CLIENT REPLY OFF\nSET rk v\nINCR rk\nCLIENT REPLY ON\nGET rk\n"
     "DEL rk")
case("CLIENT REPLY with bad words", "CLIENT REPLY\nCLIENT REPLY maybe\nCLIENT REPLY ON x")
case("CLIENT without or with an unknown subcommand", "CLIENT\nCLIENT WURST\nCLIENT WURST a b\n"
     "CLIENT GETNAME x\nCLIENT ID x\nCLIENT SETNAME\nCLIENT SETNAME a b\nCLIENT INFO x")
case("CLIENT HELP", "CLIENT HELP", masks=["client_help"])

# --- Unknown commands and arity -------------------------------------------------------------------
case("unknown commands", "NOSUCH\nNOSUCH a\nNOSUCH a b c\nnosuch A\nGETT k")
raw("unknown commands, long and strange",
    command("x" * 300) + command("NOSUCH", "y" * 300) + command("NOSUCH", *["a" * 30] * 20)
    + command(b"\x00\xff") + command("NO\r\nSUCH", "a\r\nb") + command("NOSUCH", "it's"))
raw("an empty command name", command("") + command("", "x"))
case("wrong arity", "GET\nGET a b\nSET k\nDEL\nMGET\nMSET a\nMSET a b c\nEXPIRE k\nECHO\nECHO a b\n"
     "PING a b\nEXISTS\nHSET h f\nLPUSH l\nZADD z 1\nEVAL\nPUBLISH c\nSUBSCRIBE\nXADD s")
case("wrong arity in subcommands", "CONFIG\nCONFIG GET\nCONFIG WURST\nOBJECT\nOBJECT ENCODING\n"
     "OBJECT WURST k\nXGROUP\nXGROUP CREATE\nXINFO\nXINFO STREAM\nSCRIPT\nSCRIPT LOAD\nSCRIPT WURST\n"
     "PUBSUB\nPUBSUB WURST\nMEMORY\nMEMORY USAGE\nSLOWLOG\nSLOWLOG WURST\nACL WHOAMI x\nCOMMAND WURST\n"
     "COMMAND GETKEYS\nFUNCTION\nLATENCY WURST\nCLUSTER")
case("errors of data commands", "SET t text\nINCR t\nLPUSH t 1\nHGET t f\nEXPIRE t soon\nSETEX t 0 v\n"
     "SET t v EX 0\nSET t v EX x\nSET t v NX XX\nSET t v WURST\nGETRANGE t a b\nGETEX t EX -1\nDEL t\n"
     "LSET none 0 v\nRENAME none x\nOBJECT ENCODING none\nSETRANGE none -1 x")
case("COMMAND", "COMMAND INFO get\nCOMMAND INFO get nosuch\nCOMMAND GETKEYS MSET a 1 b 2\n"
     "COMMAND GETKEYS PING\nCOMMAND GETKEYS GET\nCOMMAND GETKEYS NOSUCH a\n"
     "COMMAND LIST FILTERBY PATTERN xack*")
case("COMMAND COUNT", "COMMAND COUNT")
case("CLUSTER", "CLUSTER INFO\nCLUSTER SLOTS\nCLUSTER SHARDS\nCLUSTER NODES\nASKING")
case("data of all types", "SET k v\nGET k\nGET none\nMGET k none\nRPUSH l 1 2\nLRANGE l 0 -1\nHSET h f v\n"
     "HGETALL h\nSADD s m\nSMEMBERS s\nZADD z 1.5 m\nZRANGE z 0 -1 WITHSCORES\nZSCORE z m\nTYPE z\n"
     "SETEX k 100 v\nTTL k\nSISMEMBER s m\nZADD z INCR 1 m\nLPOP l 2\nGEOADD g 1 2 m\nGEOPOS g m\n"
     "LPOS none x\nDEL k l h s z g")
case("data of all types in RESP3", "HELLO 3\nSET k v\nGET k\nGET none\nMGET k none\nHSET h f v\nHGETALL h\n"
     "SADD s m\nSMEMBERS s\nZADD z 1.5 m\nZRANGE z 0 -1 WITHSCORES\nZSCORE z m\nCONFIG GET maxmemory\n"
     "LPOP none 2\nGEOADD g 1 2 m\nGEOPOS g m\nDEL k h s z g", masks=["hello_id"])
raw("scripts and the protocol",
    command("EVAL", "return {1,'a',{false,true},redis.error_reply('E x'),redis.status_reply('S')}",
            0) + commands("HELLO 3")
    + command("EVAL", "redis.setresp(3); return {true, false, {double=1.5}, {map={a=1}}, "
                      "{set={x=true}}}", 0))
CASES[-1].masks = ["hello_id"]

# --- The protocol broken --------------------------------------------------------------------------
closes("a bulk length that is no number", b"*1\r\n$x\r\n")
closes("a bulk length below zero", b"*1\r\n$-1\r\nPING\r\n")
closes("a bulk length over the limit", b"*1\r\n$536870913\r\n")
closes("a bulk length that overflows", b"*1\r\n$99999999999999999999\r\n")
closes("an empty bulk length", b"*1\r\n$\r\n")
closes("a bulk length with a plus", b"*1\r\n$+4\r\nPING\r\n")
closes("a bulk length with a leading zero", b"*1\r\n$04\r\nPING\r\n")
closes("a bulk length with a space", b"*1\r\n$4 \r\nPING\r\n")
closes("no dollar", b"*1\r\n:4\r\nPING\r\n")
closes("no dollar, a strange byte", b"*1\r\n\x01\r\n")
closes("a number of arguments that is no number", b"*x\r\n")
closes("a number of arguments over the limit", b"*2147483648\r\n")
closes("a number of arguments that overflows", b"*99999999999999999999\r\n")
closes("a number of arguments with a plus", b"*+1\r\n$4\r\nPING\r\n")
closes("replies come before the protocol error", commands("PING\nECHO x") + b"*1\r\n!\r\n")
closes("the second argument is broken", b"*2\r\n$4\r\nECHO\r\n$z\r\n")
closes("an endless number of arguments", b"*" + b"1" * 70000)
closes("an endless bulk length", b"*1\r\n$" + b"1" * 70000)
closes("an endless inline command", b"x" * 70000)
closes("unbalanced quotes", b'ECHO "abc\r\n')
closes("unbalanced single quotes", b"ECHO 'abc\r\n")
closes("something right behind a quote", b'ECHO "abc"d\r\n')
closes("an HTTP request", b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
closes("an HTTP header", b"Host: localhost\r\n")
closes("an HTTP request in lower case", b"post /\r\n")
closes("POST as an array", command("POST", "/"))
closes("host: as an array", command("host:", "x"))
closes("a protocol error in a transaction", commands("MULTI\nPING") + b"*1\r\n$x\r\n")
closes("a protocol error of a subscriber", commands("SUBSCRIBE c") + b"*1\r\n$x\r\n")

# --- What looks broken and is not -----------------------------------------------------------------
raw("empty commands", b"\r\n\n*0\r\n*-1\r\n*-10\r\n   \r\n" + commands("PING"))
raw("inline commands", b"PING\r\nPING hello\r\n  ECHO   spaces  \r\nECHO tabs\t\r\nPING lf\n")
raw("inline quotes", b'ECHO "a b"\r\nECHO \'a b\'\r\nECHO "\\x41\\n\\r\\t\\b\\a\\\\\\q"\r\n'
    b"ECHO 'it\\'s \\n'\r\nECHO \"\"\r\nECHO a\"b\"\r\nECHO \"'\"\r\n")
raw("inline data", b"SET ik v\r\nGET ik\r\nMGET ik none\r\nDEL ik\r\nNOSUCH a b\r\nGET\r\n")
raw("inline and arrays mixed", b"PING a\r\n" + commands("PING b") + b"PING c\r\n"
    + commands("PING d"))
raw("bulk ends that are not CRLF", b"*1\r\n$4\r\nPINGxx" + b"*2\r\n$4\r\nECHO__$2\r\nhi__")
raw("a length line that ends in LF and a byte", b"*1\rX$4\rXPING\r\n")
raw("byte by byte", commands("PING x\nSET bk v\nGET bk\nDEL bk\nNOSUCH a") + b"PING y\r\n",
    bytewise=True)
raw("a protocol error byte by byte", b"*2\r\n$4\r\nECHO\r\n$z\r\n", then="close", bytewise=True)
raw("an argument of nothing", command("SET", "ek", "") + command("GET", "ek") + command("GET", "")
    + command("SET", "", "x") + command("GET", "") + command("DEL", "", "ek"))
raw("1,000 commands at once", b"".join(command("SET", f"p{i}", i) + command("GET", f"p{i}")
                                       + command("DEL", f"p{i}") for i in range(1000)))

# --- Transactions ---------------------------------------------------------------------------------
case("MULTI, EXEC, DISCARD", "MULTI\nSET tk 1\nINCR tk\nGET tk\nEXEC\nGET tk\nMULTI\nSET tk 9\nDISCARD\n"
     "GET tk\nDEL tk\nMULTI\nEXEC")
case("MULTI in MULTI", "MULTI\nMULTI\nPING\nEXEC")
case("EXEC and DISCARD without MULTI", "EXEC\nDISCARD\nUNWATCH")
case("WATCH in MULTI", "MULTI\nWATCH k\nPING\nEXEC")
case("UNWATCH in MULTI", "MULTI\nUNWATCH\nEXEC")
case("EXECABORT", "MULTI\nNOSUCH\nPING\nEXEC\nMULTI\nGET\nEXEC\nPING")
case("EXECABORT and DISCARD", "MULTI\nNOSUCH\nDISCARD\nPING")
case("an error inside EXEC", "SET tk x\nMULTI\nINCR tk\nGET tk\nEXEC\nDEL tk")
case("arity in transactions", "MULTI x\nEXEC\nMULTI\nEXEC x\nDISCARD\nWATCH\nUNWATCH x\nDISCARD x")
case("handshakes in MULTI", "MULTI\nPING\nECHO x\nSELECT 1\nSET tk 1\nSELECT 99\nEXEC\n"
     "GET tk\nDEL tk\nSELECT 0")
# What Pannier answers itself cannot be queued upstream: it refuses, and EXEC aborts (README).
IN_MULTI = (b"+OK\r\n-ERR Command not allowed inside a transaction\r\n"
            b"-EXECABORT Transaction discarded because of previous errors.\r\n")
case("CLIENT in MULTI", "MULTI\nCLIENT GETNAME\nEXEC", instead=IN_MULTI + b"<end>")
case("HELLO in MULTI", "MULTI\nHELLO 3\nEXEC\nHGETALL none", masks=["hello_id"],
     instead=IN_MULTI + b"*0\r\n<end>")
case("SUBSCRIBE in MULTI", "MULTI\nSUBSCRIBE mc\nEXEC\nPING", instead=IN_MULTI + b"+PONG\r\n<end>")
case("blocking commands in MULTI", "MULTI\nBLPOP none 0\nBZPOPMIN none 0\nEXEC")
case("DISCARD with arguments leaves MULTI open", "MULTI\nSET dk 1\nDISCARD x\nPING\nEXEC\nEXISTS dk")
case("SELECT in pipelined transactions", "MULTI\nSELECT 3\nEXEC\nMULTI\nSELECT 5\nDISCARD\nSET sk 1\n"
     "SELECT 5\nEXISTS sk\nSELECT 3\nDEL sk\nMULTI\nSELECT 2\nEXEC\nMULTI\nSELECT 4\nEXEC\nSET sk 2\n"
     "SELECT 2\nEXISTS sk\nSELECT 4\nDEL sk\nSELECT 0")
case("MULTI of a RESP2 subscriber", "SUBSCRIBE a\nMULTI\nUNSUBSCRIBE a\nPING")
raw("SKIP and a large SET", command("CLIENT", "REPLY", "SKIP") + command("SET", "lk", b"x" * 100000) +
    command("GET", "none") + command("ECHO", "second") + command("DEL", "lk"))
case("SKIP and CLIENT LIST", "CLIENT REPLY SKIP\nCLIENT LIST\nECHO next")
case("QUIT in MULTI", "MULTI\nSET qk v\nQUIT").ends()
case("MONITOR in MULTI", "MULTI\nMONITOR\nEXEC", instead=IN_MULTI + b"<end>")
case("MULTI in RESP3", "HELLO 3\nMULTI\nHGETALL none\nGET none\nEXEC", masks=["hello_id"])
CASES.append(Case("WATCH sees another client")
             .step(commands("SET wk 1\nWATCH wk\nGET wk"))
             .step(commands("SET wk 2"), on="b")
             .step(commands("MULTI\nSET wk 3\nEXEC\nGET wk\nMULTI\nGET wk\nEXEC\nDEL wk")))
CASES.append(Case("WATCH sees another client, RESP3", masks=["hello_id"])
             .step(commands("HELLO 3\nSET wk 1\nWATCH wk"))
             .step(commands("DEL wk"), on="b")
             .step(commands("MULTI\nPING\nEXEC")))
CASES.append(Case("WATCH, UNWATCH and a change")
             .step(commands("WATCH wk\nUNWATCH"))
             .step(commands("SET wk 2"), on="b")
             .step(commands("MULTI\nGET wk\nEXEC\nDEL wk")))
CASES.append(Case("DISCARD forgets WATCH")
             .step(commands("WATCH wk\nMULTI\nDISCARD"))
             .step(commands("SET wk 2"), on="b")
             .step(commands("MULTI\nGET wk\nEXEC\nDEL wk")))

# --- Publish and subscribe ------------------------------------------------------------------------
case("SUBSCRIBE and UNSUBSCRIBE", "SUBSCRIBE c1 c2\nSUBSCRIBE c1\nPSUBSCRIBE p*\nUNSUBSCRIBE c1\n"
     "UNSUBSCRIBE c1\nPUNSUBSCRIBE p* q*\nUNSUBSCRIBE c2\nGET none")
case("unsubscribe without subscriptions", "UNSUBSCRIBE\nPUNSUBSCRIBE\nSUNSUBSCRIBE\nUNSUBSCRIBE x y\n"
     "PING x")
case("unsubscribe without subscriptions, RESP3", "HELLO 3\nUNSUBSCRIBE\nPUNSUBSCRIBE x\nSUNSUBSCRIBE\n"
     "PING x", masks=["hello_id"])
case("a subscriber's errors in RESP2", "SUBSCRIBE c\nGET k\nSET k v\nECHO x\nMULTI\nEXEC\nCLIENT ID\n"
     "SELECT 1\nHELLO 3\nNOSUCH\nGET\nPING\nPING x\nUNSUBSCRIBE\nPING y")
case("a subscriber's commands in RESP3", "HELLO 3\nSUBSCRIBE c\nGET none\nPING x\nECHO y\nMULTI\nEXEC\n"
     "UNSUBSCRIBE c\nPING z", masks=["hello_id"])
case("RESET of a subscriber", "SUBSCRIBE c\nPSUBSCRIBE p*\nRESET\nGET none\nUNSUBSCRIBE")
case("QUIT of a subscriber", "SUBSCRIBE c\nQUIT").ends()
CASES.append(Case("messages")
             .step(commands("SUBSCRIBE mc1\nPSUBSCRIBE mc*"))
             .step(commands("PUBLISH mc1 hello\nPUBLISH mc2 there\nPUBLISH other x"), on="b")
             .step(b"", then=b"$5\r\nthere\r\n"))
CASES.append(Case("messages in RESP3", masks=["hello_id"])
             .step(commands("HELLO 3\nSUBSCRIBE mc1\nPSUBSCRIBE mc*"))
             .step(commands("PUBLISH mc1 hello\nPUBLISH mc2 there"), on="b")
             .step(b"", then=b"$5\r\nthere\r\n")
             .step(commands("GET none\nUNSUBSCRIBE\nPUNSUBSCRIBE")))

# --- Blocking -------------------------------------------------------------------------------------
case("blocking commands that need not wait", "RPUSH bl 1 2 3\nBLPOP bl 0\nBRPOP none bl 1\n"
     "BLMOVE bl bl2 LEFT RIGHT 0\nBLPOP bl2 0\nZADD bz 1 m\nBZPOPMIN bz 0\nBLMPOP 0.01 1 none LEFT")
case("blocking commands that wait in vain", "BLPOP none 0.05\nBRPOPLPUSH none other 0.05\n"
     "BZPOPMAX none 0.05\nXREAD BLOCK 20 STREAMS none $\nBLMOVE none x LEFT LEFT 0.05")
case("waiting in vain in RESP3", "HELLO 3\nBLPOP none 0.05\nXREAD BLOCK 20 STREAMS none $",
     masks=["hello_id"])
case("blocking commands with bad times", "BLPOP k\nBLPOP k x\nBLPOP k -1\nXREAD BLOCK x STREAMS k $\n"
     "XREAD BLOCK -1 STREAMS k $\nBLPOP k 1e300")
case("what stands behind a blocking command", "BLPOP none 0.05\nPING x\nSET bk v\nBLPOP none 0.05\nGET bk\n"
     "DEL bk")
case("WAIT", "SET wk v\nWAIT 1 5000\nDEL wk\nWAIT x 1\nWAIT 0 -1\nWAIT")
