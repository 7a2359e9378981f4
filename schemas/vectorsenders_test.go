package schemas_test

import "github.com/carillon-iot/carillon/schemas"

// senderList collects messages that verify with the certificate in them.
type senderList struct {
	g   *generator
	out []badVector
	now uint64
}

func (l *senderList) add(name, comment, signer string, topic schemas.Topic, protected, payload entries) {
	message := l.g.sign(envelope{signer, topic.String(), protected.encode(), amap(), payload.encode()})
	l.out = append(l.out, badVector{Name: name, Comment: comment, Stage: "identity", Topic: topic.String(), Certificate: signer,
		Now: l.now, Message: message, Diagnostic: diagnose(message)})
}

// hello is one of device 1, and welcome one to it, with the signer's chain.
func (l *senderList) hello(name, comment, signer string) {
	l.add("hello-"+name, comment, signer, schemas.UpTopic(device1), l.g.chained(signer), helloPayload())
}

func (l *senderList) welcome(name, comment, signer string) {
	l.add("welcome-"+name, comment, signer, schemas.DownTopic(device1), l.g.chained(signer), welcomePayload())
}

// chainOf is a protected header with a chain of one's choice.
func (g *generator) chainOf(signer string, others ...string) entries {
	ders := []item{bstr(g.keys.signing[signer].cert.Raw)}
	for _, name := range others {
		ders = append(ders, bstr(g.keys.signing[name].cert.Raw))
	}
	if len(ders) == 1 {
		return g.header(signer).with(33, ders[0])
	}
	return g.header(signer).with(33, arr(ders...))
}

// badSenders verify, but the chain or the identity in it is not what the
// topic asks for.
func (g *generator) badSenders() []badVector {
	l := &senderList{g: g, now: issued}
	l.strangers()
	l.authorities()
	l.leaves()
	l.times()
	return l.out
}

// strangers do not lead to the root.
func (l *senderList) strangers() {
	g, up, down := l.g, schemas.UpTopic(device1), schemas.DownTopic(device1)
	l.add("hello-of-a-stranger", "the chain does not lead to the root", "stranger-device", up, g.chainOf("stranger-device"), helloPayload())
	l.add("hello-with-its-own-root", "the chain ends in a root of its own", "stranger-device", up, g.chainOf("stranger-device", "stranger-root"), helloPayload())
	l.add("hello-of-itself", "the certificate is issued by itself", "device-1-self", up, g.chainOf("device-1-self"), helloPayload())
	l.add("hello-without-issuer", "the intermediate is missing", "device-1", up, g.chainOf("device-1"), helloPayload())
	l.add("hello-of-a-namesake", "the issuer has the intermediate's name and key identifier, but not its key", "device-1-forged", up, g.chainOf("device-1-forged", "intermediate-namesake"), helloPayload())
	l.add("hello-forged", "the same with the true intermediate in the chain: its key did not sign the leaf", "device-1-forged", up, g.chainOf("device-1-forged", "intermediate"), helloPayload())
	l.add("welcome-of-a-stranger", "the chain does not lead to the root", "stranger-bridge", down, g.chainOf("stranger-bridge"), welcomePayload())
	l.add("welcome-forged", "the issuer has the intermediate's name and key identifier, but not its key", "bridge-forged", down, g.chainOf("bridge-forged", "intermediate"), welcomePayload())
}

// authorities are leaves under what may not be one.
func (l *senderList) authorities() {
	l.hello("of-no-authority", "the issuer is no authority by its basic constraints", "device-1-of-no-ca")
	l.hello("of-no-signer", "the issuer's key usage lacks keyCertSign", "device-1-of-no-certsign")
	l.hello("too-long", "the issuer is below an authority of path length 0", "device-1-too-long")
	l.hello("of-a-critical-issuer", "the issuer has a critical extension that nobody knows", "device-1-of-critical")
	l.add("welcome-of-a-device's-making", "the bridge's certificate is issued by a device", "bridge-of-device", schemas.DownTopic(device1),
		l.g.chainOf("bridge-of-device", "device-1", "intermediate"), welcomePayload())
}

// leaves say the wrong thing.
func (l *senderList) leaves() {
	l.hello("of-another-device", "the certificate is device 2's", "device-2")
	l.hello("of-a-bridge", "the certificate is a bridge's", "bridge-1")
	l.hello("of-a-bridge-of-that-id", "the certificate is a bridge's, and its id is the device's", "bridge-named-as-device")
	l.hello("no-eku", "no extended key usage", "device-1-no-eku")
	l.hello("server", "the extended key usage is serverAuth", "device-1-server")
	l.hello("no-signing", "the key usage lacks digitalSignature", "device-1-no-signing")
	l.hello("other-name", "the common name is another device's id", "device-1-other-name")
	l.hello("no-name", "no common name", "device-1-no-name")
	l.hello("two-names", "two common names, the first of which is the id", "device-1-two-names")
	l.hello("no-uri", "no URI", "device-1-no-uri")
	l.hello("two-uris", "a device's URI and a bridge's", "device-1-two-uris")
	l.hello("two-uris-case", "the same, the second one in another case", "device-1-two-uris-case")
	l.hello("odd-case", "urn:Carillon:", "device-1-odd-case")
	l.hello("role-case", "urn:carillon:Device:", "device-1-role-case")
	l.hello("critical", "a critical extension that nobody knows", "device-1-critical")
	l.welcome("of-the-device", "the certificate is a device's", "device-1")
	l.welcome("of-two", "the certificate is a device's and a bridge's", "device-1-two-uris")
	l.welcome("no-eku", "no extended key usage", "bridge-no-eku")
	l.welcome("server", "the extended key usage is serverAuth", "bridge-server")
	l.add("welcome-of-an-authority", "the certificate is the intermediate's and names no bridge", "intermediate", schemas.DownTopic(device1), l.g.chainOf("intermediate"), welcomePayload())
}

// times are over, or have not come.
func (l *senderList) times() {
	l.hello("expired", "the leaf alone has expired", "device-1-expired")
	l.hello("of-an-expired-issuer", "the issuer alone has expired", "device-1-of-expired")
	l.hello("of-tomorrow", "the leaf is not valid yet, and a bridge's clock is right", "device-1-tomorrow")
	l.welcome("expired", "the leaf alone has expired", "bridge-expired")
	l.welcome("of-an-expired-issuer", "the issuer alone has expired", "bridge-of-expired")
	l.welcome("after-its-issuer", "the leaf begins when its issuer has ended: T is the start of the leaf, and then the issuer has expired", "bridge-after-issuer")
	l.now = issued + 1
	l.hello("a-second-late", "the leaf ended at 1790000000", "device-1-last-second")
	l.now = 2100000000
	l.add("welcome-after-its-certificate", "issued, by its own iat, after the bridge's certificate ended", "bridge-1", schemas.DownTopic(device1),
		l.g.chained("bridge-1"), welcomePayload().with(6, num(2100000000)))
}

// peers are eight, of which the first two are to be accepted.
func (g *generator) peers() []schemas.Bytes {
	var all []schemas.Bytes
	for _, name := range []string{"bridge-2", "bridge-tomorrow", "bridge-direct", "bridge-forged", "device-2", "bridge-expired", "bridge-p384"} {
		all = append(all, g.keys.signing[name].cert.Raw)
	}
	return append(all, []byte("not a certificate"))
}

// senders are trusted.
func (g *generator) senders() (out []senderVector) {
	l := &senderList{g: g, now: issued}
	l.hello("last-second", "the leaf ends at 1790000000, and is good until then, that second included", "device-1-last-second")
	l.hello("of-three", "a chain of three", "device-1-of-three")
	l.hello("of-four", "a chain of four", "device-1-of-four")
	l.add("hello-shuffled", "the leaf comes first; the order of the others is the sender's duty, not the receiver's concern", "device-1-of-four", schemas.UpTopic(device1),
		g.chainOf("device-1-of-four", "intermediate", "intermediate-3", "intermediate-2"), helloPayload())
	l.welcome("of-tomorrow", "the leaf is not valid yet: never held against a bridge by a device", "bridge-tomorrow")
	l.now = 42
	l.welcome("in-1970", "the device's clock has just been switched on", "bridge-1")
	l.now = issued
	peers := make([]item, 0, 8)
	for _, p := range g.peers() {
		peers = append(peers, bstr(p))
	}
	l.add("welcome-peers", "of eight peers, bridge-2 and bridge-tomorrow are accepted; the others are issued by the root itself, by a namesake of the intermediate, "+
		"a device's, expired, of a curve that has no algorithm, and no certificate", "bridge-1", schemas.DownTopic(device1),
		g.chained("bridge-1"), welcomePayload().with(-16, arr(peers...)))
	for _, v := range l.out {
		out = append(out, senderVector{Name: v.Name, Comment: v.Comment, Topic: v.Topic, Certificate: v.Certificate, Now: v.Now, Message: v.Message, Diagnostic: v.Diagnostic})
	}
	out[len(out)-1].Peers = []hexBytes{g.keys.kid("bridge-2"), g.keys.kid("bridge-tomorrow")}
	return out
}
