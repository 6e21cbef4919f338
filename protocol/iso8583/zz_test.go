package iso8583
import ("testing";"qianzhi/protocol";"encoding/hex")
func BenchmarkZEmpty(b *testing.B){ s:=benchSpec(); s.Messages=nil; c:=compiled(b,s); rec:=new(protocol.Record); msg,_:=hex.DecodeString("02000000000000000000")
 f:=protocol.Frame{Body:msg}
 for b.Loop(){ if err:=c.Index(f,rec);err!=nil{b.Fatal(err)}}}
func BenchmarkZShort(b *testing.B){ s:=benchSpec(); s.Messages=nil; c:=compiled(b,s); rec:=new(protocol.Record); msg,_:=hex.DecodeString("02002038000000000000"+"000000"+"000123"+"101500"+"1124"+"")
 f:=protocol.Frame{Body:msg}
 for b.Loop(){ if err:=c.Index(f,rec);err!=nil{b.Fatal(err)}}}
func BenchmarkZText(b *testing.B){ s:=benchSpec(); s.Messages=nil; c:=compiled(b,s); rec:=new(protocol.Record); msg,_:=hex.DecodeString("02000000000008C00000"+hex.EncodeToString([]byte("123456789012" + "60120001" + "301051249000001")))
 f:=protocol.Frame{Body:msg}
 for b.Loop(){ if err:=c.Index(f,rec);err!=nil{b.Fatal(err)}}}
