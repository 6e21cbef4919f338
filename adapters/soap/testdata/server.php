<?php
// A marketing MIS as a web service of PHP's own SOAP extension.
class Mis {
    function Query($in) {
        return ['code' => 'OK', 'text' => '成功', 'serial' => $in->serial, 'amount' => '30150', 'name' => '张三', 'address' => '人民路1号',
            'balance' => '0', 'owed_count' => '2', 'bill' => [
            ['id' => 'B1', 'month' => '202511', 'amount' => 20000, 'principal' => 19000, 'penalty' => 1000],
            ['id' => 'B2', 'month' => '202512', 'amount' => 10150, 'principal' => 10150, 'penalty' => 0]]];
    }
    function Pay($in) {
        if ($in->account == '0512999999') {
            throw new SoapFault('Server', '数据库忙');
        }
        $n = is_array($in->bill) ? count($in->bill) : 1;
        return ['code' => 'OK', 'text' => '成功', 'serial' => $in->serial, 'amount' => $in->amount, 'host_serial' => "PHP$n"];
    }
    function Security($in) {
        $password = $in->UsernameToken->Password;
        if ($in->UsernameToken->Username != 'qianzhi' || (is_object($password) ? $password->_ : $password) != 'secret') {
            throw new SoapFault('Client.Auth', '用户名或口令错误');
        }
    }
}
ini_set('soap.wsdl_cache_enabled', 0);
$server = new SoapServer(__DIR__ . '/mis.wsdl');
$server->setClass('Mis');
$server->handle();
